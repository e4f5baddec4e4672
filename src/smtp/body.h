/* Message content on the wire: the dot codec of DATA (RFC 5321 4.5.2), strict about line ends.  */
#ifndef SMTP_BODY_H
#define SMTP_BODY_H

#include "base/buf.h"

/* What was seen in a content that is not allowed; the first one stays.  */
enum body_fault { BODY_FINE, BODY_BARE_CR, BODY_BARE_LF, BODY_NUL };

struct body_decoder {
	uint8_t state;
	bool normalize; /* a bare CR or LF becomes CRLF instead of a fault */
	bool raw;       /* BDAT: a dot means nothing, and nothing ends it; to be set after init */
	bool ended;     /* CRLF.CRLF was seen */
	bool eight_bit;
	enum body_fault fault;
	struct str end_word; /* one more line that ends the content; empty: none */
	uint8_t end_len;     /* how much of end_word the current line has matched */
	uint64_t size;       /* decoded octets, the runs in all */
};

void body_decoder_init(struct body_decoder *d, bool normalize, struct str end_word);

/* Decode from the front of octets: the next run of content, borrowed from octets or a constant,
 * is in *ret_run (may be empty).  Returns octets consumed; call again until all are, or `ended`.
 * Only CRLF.CRLF ends (with `normalize` too: a lone LF or CR never makes an end).  After a fault
 * content is consumed without runs until the true end.  NUL is a fault always.  One SIMD pass
 * (SSE2) over plain octets.  */
size_t body_decode(struct body_decoder *d, struct str octets, struct str *ret_run);

/* The content is complete (raw only: DATA says so itself): a CR that still waits for its LF is a
 * fault, or, normalized, a last run.  */
void body_finish(struct body_decoder *d, struct str *ret_run);

/* Dot-stuffing for sending: append octets to out with every '.' at the start of a line doubled;
 * *at_line_start is kept between calls (true at first).  False, and nothing is appended, when out
 * is full.  */
bool body_stuff(struct buf *out, struct str octets, bool *at_line_start);

#endif
