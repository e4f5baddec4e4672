/* Shared by the files of mtasts alone: mtasts.c (what is known, and who asks), mtasts_fetch.c (how it
 * becomes known), mtasts_store.c (how it is kept).  */
#ifndef ROUTE_MTASTS_PRIVATE_H
#define ROUTE_MTASTS_PRIVATE_H

#include "base/map.h"
#include "route/mtasts.h"

enum { MTASTS_ENTRIES_MAX = 10000, MTASTS_FILE_MAX = 32 << 20, MTASTS_ADDRESSES_MAX = 8 };

/* Of a domain that has a policy, or announces one.  */
struct mtasts_entry {
	struct map_node node;
	struct list link; /* in mtasts->used: the most recently used first */
	struct mtasts *mtasts;
	char domain[256];
	struct mtasts_known *known; /* NULL: not fetched yet */
	msec used;                  /* monotonic; a mail asked for it */
	/* The last attempt to fetch, if it failed: */
	enum mtasts_trouble trouble;
	char why[200];
	char failed_id[MTASTS_ID_MAX + 1];
	msec retry_at; /* monotonic */
	/* The attempt under way: */
	bool fetching;
	char id[MTASTS_ID_MAX + 1];
	struct resolver_query txt, a, aaaa;
	uint32_t pending; /* of a and aaaa */
	uint32_t address_count;
	struct net_address addresses[MTASTS_ADDRESSES_MAX];
	struct io_fetch fetch;
	struct list waiting; /* struct mtasts_lookup */
};

struct mtasts {
	struct io *io;
	struct mtasts_options options;
	char *path;
	struct map entries;
	struct list used;
	uint32_t fetching; /* entries */
	struct timer refresh;
	/* mtasts_store.c */
	bool dirty, saving;
	struct timer save;
	struct io_work work;
	struct buf text; /* being written */
	int error;
};

/* NULL: no memory.  */
struct mtasts_known *mtasts_known_new(
	const struct mtasts_policy *policy, const char *id, msec fetched);
void mtasts_known_leave(struct mtasts_known *known);
/* NULL: no memory, or all that are known are in use.  */
struct mtasts_entry *mtasts_entry_make(struct mtasts *m, struct str domain);
/* It has a policy that still counts.  */
bool mtasts_entry_counts(const struct mtasts_entry *e);
/* The attempt has ended: those who wait are told, the next refresh is planned.  */
void mtasts_entry_settled(struct mtasts_entry *e);

/* mtasts_fetch.c */
/* Begin, unless it runs; mtasts_entry_settled comes.  */
void mtasts_fetch(struct mtasts_entry *e, const char *id);
void mtasts_fetch_end(struct mtasts_entry *e);

/* mtasts_store.c */
void mtasts_load(struct mtasts *m);
/* Have it on disk soon.  */
void mtasts_changed(struct mtasts *m);
void mtasts_save_now(struct mtasts *m);

#endif
