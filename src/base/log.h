/* One line per fact: time, level, event, queue id first, then key=value (logfmt) or JSON.
 *
 *	log_begin(log, LOG_INFO, id, "delivered");
 *	log_str(log, "to", address), log_i64(log, "ms", elapsed);
 *	log_end(log);
 *
 * Lines gather in a buffer; who owns the log flushes it once per wake-up.  Between begin and end the
 * log belongs to one caller; a log belongs to one thread.  Octets that are not printable ASCII or
 * valid UTF-8 are escaped, so a line is always one line.  */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/clock.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log {
	enum log_format format;
	enum log_level level;                           /* what is below is dropped */
	msec (*wall)(void *context);                    /* time of a line */
	void (*write)(void *context, struct str lines); /* whole lines, borrowed */
	void *context;
	struct buf lines;
	bool open; /* between begin and end, and the line is wanted */
};

/* wall and write must be set; see the struct.  */
void log_init(struct log *log, enum log_format format, enum log_level level);
void log_release(struct log *log);

/* id: the queue id, or STR_NONE.  event: one word, a constant.  */
void log_begin(struct log *log, enum log_level level, struct str id, const char *event);
void log_str(struct log *log, const char *key, struct str value);
void log_i64(struct log *log, const char *key, int64_t value);
void log_printf(struct log *log, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);
void log_end(struct log *log);
/* Hand everything gathered to write.  log_end does it by itself past 64 KiB.  */
void log_flush(struct log *log);

#endif
