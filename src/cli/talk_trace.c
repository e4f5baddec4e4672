/* What both sides say, line by line, on standard error; but no secret.  */
#include "cli/talk_parts.h"

enum { TRACE_LINE_MAX = 64 << 10 };

void talk_trace_begin(struct talk *t)
{
	buf_init(&t->traced[0], TRACE_LINE_MAX);
	buf_init(&t->traced[1], TRACE_LINE_MAX);
}

void talk_trace_end(struct talk *t)
{
	buf_release(&t->traced[0]);
	buf_release(&t->traced[1]);
}

static void trace_line(const struct talk *t, char mark, struct str line)
{
	double ms = (double)(io_now_us(t->io) - t->began_us) / 1000;
	fprintf(stderr, "%9.3f %c ", ms, mark);
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];
		if (c < ' ' && c != '\t')
			fprintf(stderr, "\\x%02x", c);
		else
			fputc(c, stderr);
	}
	fputc('\n', stderr);
}

/* Whole lines of what one side says; '<' the server, '>' we.  */
void talk_trace(struct talk *t, char mark, struct str octets)
{
	if (!t->trace) return;
	struct buf *kept = &t->traced[mark == '>'];
	while (octets.len) {
		struct str line;
		bool whole = str_cut(&octets, '\n', &line);
		if (!buf_add(kept, line)) buf_clear(kept);
		if (!whole) return;
		struct str all = buf_str(kept);
		if (all.len && all.ptr[all.len - 1] == '\r') all.len--;
		trace_line(t, mark, all);
		buf_clear(kept);
	}
}

void talk_trace_note(struct talk *t, const char *what)
{
	if (t->trace) trace_line(t, '*', str_from_c(what));
}

/* "AUTH PLAIN ***", "***": a login is always alone in the output.  */
void talk_trace_output(struct talk *t, struct str octets)
{
	if (!t->hidden) {
		talk_trace(t, '>', octets);
		return;
	}
	t->hidden = false;
	if (!t->trace) return;
	char line[80];
	bool first = str_starts(octets, STR("AUTH "));
	struct str rest = str_skip(octets, first ? 5 : 0);
	bool response = !first || str_find(rest, ' ') < rest.len;
	snprintf(line, sizeof line, "%s%s%s", first ? "AUTH " : "",
		first ? sasl_client_mechanism(t->login) : "",
		!response       ? ""
			: first ? " (response not shown)"
				: "(response not shown)");
	trace_line(t, '>', str_from_c(line));
}
