#include "smtp/reply.h"

enum { WIRE_LINE_MAX = 510, OCTETS_MAX = SMTP_REPLY_LINES_MAX * SMTP_REPLY_LINE_MAX };

static bool is_control(char c) { return (c >= 0 && c < ' ') || c == 0x7f; }

/* Append text with its control octets replaced.  */
static void add_clean(struct buf *out, struct str text)
{
	size_t at = out->len;
	if (!buf_add(out, text)) return;
	for (; at < out->len; at++) {
		if (is_control(out->ptr[at])) out->ptr[at] = out->ptr[at] == '\t' ? ' ' : '?';
	}
}

/* At most room octets of text, no UTF-8 character cut in two.  */
static struct str cut(struct str text, size_t room)
{
	if (text.len <= room) return text;
	while (room && ((unsigned char)text.ptr[room] & 0xc0) == 0x80) room--;
	return str_head(text, room);
}

static void add_line(
	struct buf *out, const struct smtp_reply *reply, char separator, struct str text)
{
	size_t start = out->len;
	buf_add_u64(out, reply->code);
	buf_add_c(out, separator);
	if (reply->enhanced.class) {
		enhanced_add(out, reply->enhanced);
		if (text.len) buf_add_c(out, ' ');
	}
	size_t used = out->len - start;
	add_clean(out, cut(text, WIRE_LINE_MAX - used));
	buf_add(out, STR("\r\n"));
}

bool smtp_reply_add(struct buf *out, const struct smtp_reply *reply)
{
	ASSERT(reply->code >= 200 && reply->code <= 599);
	struct str text = reply->text, line;
	bool more;
	do {
		more = str_cut(&text, '\n', &line) && text.len > 0;
		add_line(out, reply, more ? '-' : ' ', line);
	} while (more);
	return buf_ok(out);
}

void smtp_reply_reader_init(struct smtp_reply_reader *r)
{
	*r = (struct smtp_reply_reader){0};
	buf_init(&r->text, SMTP_REPLY_TEXT_MAX);
	buf_init(&r->line, SMTP_REPLY_LINE_MAX);
}

void smtp_reply_reader_release(struct smtp_reply_reader *r)
{
	buf_release(&r->text);
	buf_release(&r->line);
}

/* Append as much as there is room for.  */
static void add_some(struct buf *out, struct str s)
{
	add_clean(out, str_head(s, out->max - out->len));
}

/* Take the code and what separates it from the text off the front of *line.  */
static bool take_code(struct str *line, uint16_t *ret_code, bool *ret_last)
{
	uint64_t code;
	if (line->len < 3 || !str_to_u64(str_head(*line, 3), 599, &code) || code < 200)
		return false;
	char separator = line->len > 3 ? line->ptr[3] : ' ';
	if (separator != ' ' && separator != '-') return false;
	*line = str_skip(*line, line->len > 3 ? 4 : 3);
	*ret_code = (uint16_t)code;
	*ret_last = separator == ' ';
	return true;
}

static void add_text(struct smtp_reply_reader *r, struct str text)
{
	struct enhanced e;
	size_t len;
	if (enhanced_parse(text, &e, &len) && e.class == r->code / 100 &&
		(len == text.len || text.ptr[len] == ' ')) {
		r->enhanced = e;
		text = str_trim(str_skip(text, len));
	}
	if (r->lines > 1 && r->text.len < r->text.max) buf_add_c(&r->text, '\n');
	add_some(&r->text, text);
}

/* One whole line has been gathered.  */
static enum smtp_read take_line(struct smtp_reply_reader *r)
{
	struct str line = buf_str(&r->line);
	uint16_t code;
	bool last;
	while (line.len && line.ptr[line.len - 1] == '\r') line.len--;
	if (!take_code(&line, &code, &last)) return SMTP_READ_BAD;
	if (r->lines > 0 && code != r->code) return SMTP_READ_BAD;
	if (++r->lines > SMTP_REPLY_LINES_MAX) return SMTP_READ_BAD;
	r->code = code;
	add_text(r, line);
	buf_clear(&r->line);
	return last ? SMTP_READ_DONE : SMTP_READ_MORE;
}

static void start_over(struct smtp_reply_reader *r)
{
	buf_clear(&r->text);
	r->enhanced = (struct enhanced){0};
	r->code = r->lines = 0;
	r->octets = 0;
	r->done = false;
}

enum smtp_read smtp_reply_feed(struct smtp_reply_reader *r, struct str octets, size_t *ret_used)
{
	size_t used = 0;
	enum smtp_read read = SMTP_READ_MORE;
	if (r->done) start_over(r);
	while (read == SMTP_READ_MORE && used < octets.len) {
		struct str rest = str_skip(octets, used);
		size_t len = str_find(rest, '\n');
		bool whole = len < rest.len;
		/* What does not fit is dropped: nobody reads lines of 2,000 octets.  */
		buf_add(&r->line, str_head(str_head(rest, len), r->line.max - r->line.len));
		used += whole ? len + 1 : len;
		r->octets += (uint32_t)(len < OCTETS_MAX ? len : OCTETS_MAX);
		if (r->octets >= OCTETS_MAX)
			read = SMTP_READ_BAD;
		else if (whole)
			read = take_line(r);
	}
	if (read != SMTP_READ_MORE) buf_release(&r->line);
	r->done = read == SMTP_READ_DONE;
	*ret_used = used;
	return read;
}
