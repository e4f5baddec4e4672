#include "mail/header.h"

enum watch_state {
	LINE_START,
	END_CR, /* a CR at the start of a line: the empty line, when LF follows */
	NAME,
	NAME_BLANK, /* blanks between a name and its colon (RFC 5322 4.5.8) */
	VALUE_WAIT, /* Message-ID: in front of the value */
	VALUE,
	SKIP, /* to the end of the line: nothing to learn here */
};

void header_watch_init(struct header_watch *w) { *w = (struct header_watch){.state = LINE_START}; }

static bool has_high(struct str s)
{
	uint64_t all = 0;
	size_t i = 0;
	for (; s.len - i >= sizeof(all); i += sizeof(all)) {
		uint64_t word;
		memcpy(&word, s.ptr + i, sizeof(word));
		all |= word;
	}
	for (; i < s.len; i++) all |= (uint64_t)(s.ptr[i] & 0x80);
	return all & 0x8080808080808080;
}

/* The colon of a field is here: is it one that we look for?  */
static enum watch_state field_begins(struct header_watch *w)
{
	struct str name = str_of(w->name, w->name_len);
	if (str_ieq(name, STR("Received"))) w->received++;
	w->id_open = str_ieq(name, STR("Message-ID")) && w->message_id_len == 0;
	return w->id_open ? VALUE_WAIT : SKIP;
}

/* What stands between two fields and is none ends the header section; but for the "From " line
 * that mailbox files have on top.  */
static enum watch_state no_field(struct header_watch *w)
{
	struct str name = str_of(w->name, w->name_len);
	if (str_eq(name, STR("From")) || str_eq(name, STR(">From"))) return SKIP;
	w->done = true;
	return SKIP;
}

static enum watch_state name_octet(struct header_watch *w, char c)
{
	if (c == ':') return w->name_len ? field_begins(w) : no_field(w);
	if (c == ' ' || c == '\t') return NAME_BLANK;
	if (c == '\r' || c == '\n') return no_field(w);
	/* A name longer than any that we look for is kept one octet too long, so that it equals
	 * none.  */
	if (w->name_len < sizeof(w->name)) w->name[w->name_len++] = c;
	return NAME;
}

static enum watch_state start_octet(struct header_watch *w, char c)
{
	if (c == '\r') return END_CR;
	if (c == ' ' || c == '\t') return w->id_open ? VALUE_WAIT : SKIP; /* a folded line */
	w->name_len = 0;
	w->id_open = false;
	if (c == '\n') w->done = true;
	return name_octet(w, c);
}

static enum watch_state value_octet(struct header_watch *w, char c)
{
	if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
		if (c == '\n') return LINE_START;
		return w->id_open ? VALUE_WAIT : SKIP;
	}
	w->id_open = false;
	if (w->message_id_len < sizeof(w->message_id) - 1) w->message_id[w->message_id_len++] = c;
	return c == '>' ? SKIP : VALUE;
}

static enum watch_state octet(struct header_watch *w, char c)
{
	switch ((enum watch_state)w->state) {
	case LINE_START: return start_octet(w, c);
	case END_CR: w->done = true; return SKIP;
	case NAME: return name_octet(w, c);
	case NAME_BLANK:
		if (c == ' ' || c == '\t') return NAME_BLANK;
		return c == ':' ? field_begins(w) : no_field(w);
	case VALUE_WAIT:
	case VALUE: return value_octet(w, c);
	case SKIP: break;
	}
	UNREACHABLE();
}

void header_watch_feed(struct header_watch *w, struct str octets)
{
	size_t at = 0;
	while (at < octets.len && !w->done) {
		if (w->state != SKIP) {
			w->eight_bit |= (octets.ptr[at] & 0x80) != 0;
			w->state = (uint8_t)octet(w, octets.ptr[at]);
			/* The octet that made us skip may itself be the end of the line.  */
			if (w->state != SKIP || octets.ptr[at] != '\n') at++;
			continue;
		}
		struct str rest = str_skip(octets, at);
		size_t line = str_find(rest, '\n');
		w->eight_bit |= has_high(str_head(rest, line));
		at += line;
		if (line == rest.len) return;
		at++;
		w->state = LINE_START;
	}
}

/* Octets of the line at the front of s, its end included.  */
static size_t line_at(struct str s)
{
	size_t n = str_find(s, '\n');
	return n == s.len ? n : n + 1;
}

static struct str without_end(struct str line)
{
	if (line.len && line.ptr[line.len - 1] == '\n') line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
	return line;
}

static bool is_folded(struct str s) { return s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'); }

bool header_next(struct str *section, struct str *ret_name, struct str *ret_value)
{
	struct str rest = *section;
	size_t first = line_at(rest), n = first;
	struct str value = without_end(str_head(rest, first)), name;
	if (value.len == 0) {
		*section = str_skip(rest, first); /* behind the empty line, or at the end */
		return false;
	}
	if (is_folded(rest) || !str_cut(&value, ':', &name))
		return false; /* no field: the body begins */
	while (is_folded(str_skip(rest, n))) n += line_at(str_skip(rest, n));
	*ret_name = str_trim(name);
	*ret_value = without_end(str_of(value.ptr, (size_t)(rest.ptr + n - value.ptr)));
	*section = str_skip(rest, n);
	return true;
}
