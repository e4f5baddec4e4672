/* Making room: segments in which nothing is needed any more are freed; from segments with little
 * that is, the rest is moved forward first.  The argument why no message is lost or comes back is
 * in compact.c.  */
#ifndef SPOOL_COMPACT_H
#define SPOOL_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

struct spool;
struct batch;
struct segment;

bool compact_open(struct spool *s);
void compact_close(struct spool *s);
/* Something has changed: free what can be freed, go on with what is being moved.  */
void compact_look(struct spool *s);
/* Done records may be placed in g: their messages may have copies where they were moved from.  */
void compact_need(const struct spool *s, struct segment *g);
/* Copies wait for a batch; place them; tell how it went.  */
bool compact_ready(const struct spool *s);
void compact_add(struct spool *s, struct batch *b);
/* Nothing that waited to be placed was alive any more: true, and it goes on without a batch.  */
bool compact_moved_nothing(struct spool *s);
/* What waits to be placed does not even fit into an empty segment.  */
void compact_refused(struct spool *s);
void compact_failed(struct spool *s);
void compact_synced(struct spool *s);
/* Assert what must hold of a move under way.  */
void compact_check(const struct spool *s);

#endif
