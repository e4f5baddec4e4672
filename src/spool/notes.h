/* Notes: what a process that is killed must not forget, and what nobody waits for the disk for.
 *
 * Outcomes reach the log with the next batch, up to outcome_delay late.  Until then they stand in the
 * file `notes`, written once in each turn of the loop and never synced: the page cache outlives the
 * process.  Only when the power goes, or the system, may an answered message be sent again; a kill
 * repeats nothing but what was sent and not answered, and that is noted too, so that the next start
 * can say it.
 *
 * The file has two halves, used in turn.  A half is used again when all that was noted in it is in
 * the log, synced.  The format: doc/spool.md.  */
#ifndef SPOOL_NOTES_H
#define SPOOL_NOTES_H

#include "spool/internal.h"

struct notes;

/* Open the file and apply what it says to the index, after recovery.  0 or -errno.  */
int MUST_CHECK notes_open(struct spool *s);
void notes_close(struct spool *s);
/* A recipient has ended (this is in s->states already); it was deferred.  */
void notes_ended(struct spool *s, uint64_t id, uint32_t index);
void notes_answered(struct spool *s, uint64_t id, uint32_t index);
/* Before the loop sleeps: write what is new.  */
void notes_flush(struct spool *s);
void notes_check(const struct spool *s);

#endif
