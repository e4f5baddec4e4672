/* A growing octet buffer with a maximum given at birth.
 *
 * Memory comes when the first octet does and goes with buf_release.  An append that would pass the
 * maximum, or finds no memory, appends nothing and sets `failed`, which stays set: compose freely,
 * ask buf_ok once.  */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
	char *ptr;
	size_t len;
	size_t cap;
	size_t max;
	bool failed;
};

static inline void buf_init(struct buf *b, size_t max) { *b = (struct buf){.max = max}; }
/* Give the memory back; the buffer is empty, not failed, and usable again.  */
void buf_release(struct buf *b);
/* Empty it, keep the memory, forget the failure.  */
static inline void buf_clear(struct buf *b) { b->len = 0, b->failed = false; }

static inline struct str buf_str(const struct buf *b) { return (struct str){b->ptr, b->len}; }
static inline bool buf_ok(const struct buf *b) { return !b->failed; }

/* Room for n more octets, to be written at the returned place and then counted with `len +=`.
 * NULL, and failed, when there is none.  */
char *buf_reserve(struct buf *b, size_t n);

/* Each returns buf_ok.  */
bool buf_add(struct buf *b, struct str s);
bool buf_add_c(struct buf *b, char c);
bool buf_add_u64(struct buf *b, uint64_t decimal);
bool buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Little-endian fixed-width numbers, as in everything on disk.  */
bool buf_add_u8(struct buf *b, uint8_t v);
bool buf_add_le16(struct buf *b, uint16_t v);
bool buf_add_le32(struct buf *b, uint32_t v);
bool buf_add_le64(struct buf *b, uint64_t v);
/* A length (le32) and the octets.  */
bool buf_add_lestr(struct buf *b, struct str s);

/* Drop the first n octets.  */
void buf_consume(struct buf *b, size_t n);

/* The readers' side: each takes its octets from the front of *s; false, and *s untouched, when s is
 * too short.  take_lestr borrows from s.  */
bool take_u8(struct str *s, uint8_t *ret_v);
bool take_le16(struct str *s, uint16_t *ret_v);
bool take_le32(struct str *s, uint32_t *ret_v);
bool take_le64(struct str *s, uint64_t *ret_v);
bool take_lestr(struct str *s, struct str *ret_v);

#endif
