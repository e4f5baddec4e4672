/* Making room: segments in which nothing is needed any more are freed; from segments with little that is, the rest is
 * moved forward first.  The argument why no message is lost or comes back is in compact.c.  */
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
/* A done record is placed in g: its message may have copies where it is being moved from and to.  */
void compact_need(const struct spool *s, struct segment *g);
/* Copies wait for a batch; place them; tell how it went.  */
bool compact_ready(const struct spool *s);
void compact_add(struct spool *s, struct batch *b);
void compact_failed(struct spool *s);
void compact_synced(struct spool *s);
/* Assert what must hold of a move under way.  */
void compact_check(const struct spool *s);

#endif
