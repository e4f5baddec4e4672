#include "spool/compact.h"

#include "spool/internal.h"

struct compaction { int unused; };
bool compact_open(struct spool *s) { s->compaction = calloc(1, sizeof(*s->compaction)); return s->compaction; }
void compact_close(struct spool *s) { free(s->compaction); s->compaction = NULL; }
void compact_look(struct spool *s) { (void)s; }
void compact_need(const struct spool *s, struct segment *g) { (void)s, (void)g; }
bool compact_ready(const struct spool *s) { (void)s; return false; }
void compact_add(struct spool *s, struct batch *b) { (void)s, (void)b; }
void compact_failed(struct spool *s) { (void)s; }
void compact_synced(struct spool *s) { (void)s; }
void compact_check(const struct spool *s) { (void)s; }
