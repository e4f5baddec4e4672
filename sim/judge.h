/* What a simulation finds.  Each seed runs in a process of its own, so a finding ends it.  */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "base/log.h"
#include "sim/sim_io.h"

/* A promise is broken: say so and leave with SIM_VIOLATED.  */
_Noreturn void sim_violation(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);

enum { SIM_FINE = 0, SIM_VIOLATED = 3 };

/* A log whose lines go into the trace (and to standard error when the world is verbose).  */
void sim_log_init(struct log *log, struct io *io);

#endif
