#include "sim/judge.h"

#include <stdarg.h>

void sim_violation(struct world *w, const char *format, ...)
{
	va_list arguments;
	fprintf(stderr, "violation at %.6f: ", (double)w->now_us / 1e6);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	fflush(stderr);
	_exit(SIM_VIOLATED);
}

static msec log_wall(void *context) { return io_wall(context); }

/* A report to nobody ends before anybody outside could see it: the log has to tell.  */
static void judge_line(struct io *io, struct str line)
{
	if (str_contains(line, STR(" event=bounced ")) && str_contains(line, STR(" to=\"\" ")))
		sim_violation(
			io->world, "a report for the null reverse-path: " STR_FMT, STR_ARG(line));
}

static void log_write(void *context, struct str lines)
{
	struct io *io = context;
	world_tell(io->world, "log", str_trim(lines));
	for (struct str line; lines.len > 0;) {
		(void)str_cut(&lines, '\n', &line);
		judge_line(io, line);
	}
}

void sim_log_init(struct log *log, struct io *io)
{
	log_init(log, LOG_TEXT, io->world->verbose ? LOG_DEBUG : LOG_INFO);
	log->wall = log_wall;
	log->write = log_write;
	log->context = io;
}
