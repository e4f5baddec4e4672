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

static void log_write(void *context, struct str lines)
{
	struct io *io = context;
	world_tell(io->world, "log", str_trim(lines));
}

void sim_log_init(struct log *log, struct io *io)
{
	log_init(log, LOG_TEXT, io->world->verbose ? LOG_DEBUG : LOG_INFO);
	log->wall = log_wall;
	log->write = log_write;
	log->context = io;
}
