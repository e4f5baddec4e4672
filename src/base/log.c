#include "base/log.h"
#include "base/utf8.h"

#include <stdarg.h>

enum {
	FLUSH_PAST = 64 * 1024,
	GATHER_MAX = 1024 * 1024,
	VALUE_MAX = 4096, /* of what peers make up, this much is evidence enough */
};

void log_init(struct log *log, enum log_format format, enum log_level level)
{
	log->format = format;
	log->level = level;
	log->open = false;
	buf_init(&log->lines, GATHER_MAX);
}

void log_release(struct log *log)
{
	log_flush(log);
	buf_release(&log->lines);
}

/* Would it move the cursor, end the line or turn the text around on somebody's terminal?  */
static bool is_harmless(uint32_t c)
{
	if (c < ' ' || (c >= 0x7f && c <= 0x9f)) return false;
	if (c >= 0x2028 && c <= 0x202e) return false; /* line and paragraph ends, text direction */
	return !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

static void add_octets_escaped(struct buf *out, struct str octets, const char *format)
{
	for (size_t i = 0; i < octets.len; i++)
		buf_printf(out, format, (unsigned)(uint8_t)octets.ptr[i]);
}

/* Between quotes, in both formats.  Octets that are no UTF-8 read \xff in the value; JSON has no such
 * escape, so there the backslash itself is escaped.  */
static void add_quoted(struct buf *out, struct str value, enum log_format format)
{
	const char *octet = format == LOG_JSON ? "\\\\x%02x" : "\\x%02x";
	buf_add_c(out, '"');
	while (value.len) {
		uint32_t c;
		size_t n = utf8_next(value, &c);
		struct str octets = str_head(value, n ? n : 1);
		if (n == 0)
			add_octets_escaped(out, octets, octet);
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", (char)c);
		else if (c == '\n' || c == '\r' || c == '\t')
			buf_add(out, c == '\n' ? STR("\\n") : c == '\r' ? STR("\\r") : STR("\\t"));
		else if (is_harmless(c))
			buf_add(out, octets);
		else if (format == LOG_JSON)
			buf_printf(out, "\\u%04x", c);
		else
			add_octets_escaped(out, octets, octet);
		value = str_skip(value, octets.len);
	}
	buf_add_c(out, '"');
}

/* Can stand in a logfmt line without quotes.  */
static bool is_plain(struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];
		if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\') return false;
	}
	return value.len > 0;
}

static void add_key(struct log *log, const char *key)
{
	bool json = log->format == LOG_JSON;
	buf_printf(&log->lines, json ? ",\"%s\":" : " %s=", key);
}

static void add_value(struct log *log, struct str value)
{
	bool cut = value.len > VALUE_MAX;
	value = str_head(value, VALUE_MAX);
	if (log->format == LOG_TEXT && !cut && is_plain(value)) {
		buf_add(&log->lines, value);
		return;
	}
	add_quoted(&log->lines, value, log->format);
	if (!cut) return;
	log->lines.len -= log->lines.len ? 1 : 0;
	buf_add(&log->lines, STR("...\""));
}

void log_begin(struct log *log, enum log_level level, struct str id, const char *event)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	ASSERT(!log->open);
	log->open = level >= log->level;
	if (!log->open) return;
	bool json = log->format == LOG_JSON;
	buf_add(&log->lines, json ? STR("{\"time\":\"") : STR("time="));
	clock_add_rfc3339(&log->lines, log->wall(log->context));
	if (json) buf_add_c(&log->lines, '"');
	log_str(log, "level", str_from_c(names[level]));
	log_str(log, "event", str_from_c(event));
	if (id.len) log_str(log, "id", id);
}

void log_str(struct log *log, const char *key, struct str value)
{
	if (!log->open) return;
	add_key(log, key);
	add_value(log, value);
}

void log_i64(struct log *log, const char *key, int64_t value)
{
	if (!log->open) return;
	add_key(log, key);
	buf_printf(&log->lines, "%lld", (long long)value);
}

void log_printf(struct log *log, const char *key, const char *format, ...)
{
	if (!log->open) return;
	char text[VALUE_MAX + 2]; /* one more than is shown, so that the cut shows */
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ASSERT(n >= 0);
	size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	log_str(log, key, str_of(text, len));
}

void log_end(struct log *log)
{
	if (!log->open) return;
	log->open = false;
	buf_add(&log->lines, log->format == LOG_JSON ? STR("}\n") : STR("\n"));
	if (!buf_ok(&log->lines)) {
		/* No memory for this line: it is lost, those before it are not.  */
		size_t end = str_rfind(buf_str(&log->lines), '\n');
		size_t whole = end < log->lines.len ? end + 1 : 0;
		log->lines.len = whole;
		log_flush(log);
	}
	if (log->lines.len > FLUSH_PAST) log_flush(log);
}

void log_flush(struct log *log)
{
	ASSERT(!log->open);
	if (log->lines.len) log->write(log->context, buf_str(&log->lines));
	buf_clear(&log->lines);
}
