/* Plays the dialogues of tests/dialog, whose README.md has the format, against the server core.
 *
 *	dialog_test TESTS-DIRECTORY  */
#include "smtp/server_play_test.h"

#include <dirent.h>

enum { LINES_MAX = 400, FILE_MAX = 1 << 20 };

enum kind { CLIENT, SERVER, SERVER_MANY, CLOSED, CONTENT };

struct line {
	enum kind kind;
	struct str text; /* escapes undone, CRLF included where one belongs */
	bool prefix;     /* SERVER: the rest of the line is free */
	unsigned number;
};

struct dialog {
	const char *name;
	struct smtp_server_config config;
	struct line lines[LINES_MAX];
	size_t count;
	struct buf text; /* what the lines borrow from */
};

/* ---- Reading ---- */

static _Noreturn void bad(const struct dialog *d, unsigned number, const char *what)
{
	fail_msg("%s:%u: %s", d->name, number, what);
	abort();
}

static int hex(char c)
{
	const char *at = c ? strchr("0123456789abcdef", ascii_lower(c)) : NULL;
	return at ? (int)(at - "0123456789abcdef") : -1;
}

/* Undo escapes.  *ret_cut: a single backslash was last.  */
static struct str unescape(struct dialog *d, struct str s, unsigned number, bool *ret_cut)
{
	size_t start = d->text.len;
	*ret_cut = false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '\\' && i + 1 == s.len) {
			*ret_cut = true;
			break;
		}
		if (c == '\\') {
			c = s.ptr[++i];
			if (c == 'r')
				c = '\r';
			else if (c == 'n')
				c = '\n';
			else if (c == 't')
				c = '\t';
			else if (c == 'x') {
				if (s.len - i < 3 || hex(s.ptr[i + 1]) < 0 || hex(s.ptr[i + 2]) < 0)
					bad(d, number, "\\x");
				c = (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2]));
				i += 2;
			} else if (c != '\\')
				bad(d, number, "unknown escape");
		}
		buf_add_c(&d->text, c);
	}
	if (!*ret_cut) buf_add(&d->text, STR("\r\n"));
	return str_skip(buf_str(&d->text), start);
}

static void option(struct dialog *d, struct str s, unsigned number)
{
	struct smtp_words *w = &d->config.words;
	const struct {
		const char *name;
		struct str *value;
	} texts[] = {
		{"data_end", &d->config.data_end},
		{"replies.banner", &w->banner},
		{"replies.helo", &w->helo},
		{"replies.mail", &w->mail},
		{"replies.rcpt", &w->rcpt},
		{"replies.data", &w->data},
		{"replies.queued", &w->queued},
		{"replies.quit", &w->quit},
	};
	struct str name;
	uint64_t value;
	if (!str_cut(&s, ' ', &name)) bad(d, number, "option without a value");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!str_eq(name, str_from_c(texts[i].name))) continue;
		*texts[i].value = s;
		return;
	}
	if (str_eq(name, STR("normalize")) && str_eq(s, STR("yes")))
		d->config.normalize = true;
	else if (!str_to_u64(s, UINT32_MAX, &value))
		bad(d, number, "unknown option");
	else if (str_eq(name, STR("errors")))
		d->config.errors_max = (uint32_t)value;
	else if (str_eq(name, STR("message")))
		d->config.message_max = value;
	else
		bad(d, number, "unknown option");
}

static void read_line(struct dialog *d, struct str s, unsigned number)
{
	static const struct {
		struct str mark;
		enum kind kind;
	} marks[] = {{STR("<* "), SERVER_MANY}, {STR("< "), SERVER}, {STR("> "), CLIENT},
		{STR("= "), CONTENT}};
	struct line line = {.number = number};
	if (s.len == 0 || s.ptr[0] == '#') return;
	if (str_starts(s, STR("! "))) {
		option(d, str_skip(s, 2), number);
		return;
	}
	size_t i = 0;
	if (str_eq(s, STR(">"))) s = STR("> ");
	if (str_eq(s, STR("="))) s = STR("= ");
	while (i < ARRAY_LEN(marks) && !str_starts(s, marks[i].mark)) i++;
	if (i == ARRAY_LEN(marks) || d->count == LINES_MAX) bad(d, number, "what is this?");
	line.kind = marks[i].kind;
	s = str_skip(s, marks[i].mark.len);
	if (line.kind == SERVER && str_eq(s, STR("[closed]"))) line.kind = CLOSED;
	if (line.kind == SERVER && s.len >= 3 && str_eq(str_skip(s, s.len - 3), STR("..."))) {
		line.prefix = true;
		s.len -= 3;
	}
	bool cut;
	line.text = unescape(d, s, number, &cut);
	if (line.prefix || line.kind == SERVER_MANY) line.text.len -= 2;
	d->lines[d->count++] = line;
}

static void read_dialog(struct dialog *d, const char *name, struct str file)
{
	*d = (struct dialog){.name = name};
	d->config = (struct smtp_server_config){
		.hostname = STR("mail.example.com"),
		.message_max = 50 << 20,
		.recipients_max = 1000,
		.errors_max = 20,
		.timeout = MINUTES(5),
	};
	buf_init(&d->text, FILE_MAX);
	assert_non_null(
		buf_reserve(&d->text, 2 * file.len + 4)); /* the lines borrow: it may not move */
	struct str line;
	for (unsigned number = 1; file.len; number++) {
		str_cut(&file, '\n', &line);
		read_line(d, line, number);
	}
	if (d->count == 0 || d->lines[0].kind == CLIENT) bad(d, 1, "no banner is expected");
}

/* ---- Playing ---- */

enum how { BY_GROUPS, BY_OCTETS, ALL_AT_ONCE, HOW_MANY };

static void mismatch(const struct dialog *d, const struct line *line, enum how how, struct str got)
{
	static const char *const names[] = {"by groups", "by octets", "all at once"};
	fail_msg("%s:%u (%s): wanted \"" STR_FMT "\", got \"" STR_FMT "\"", d->name, line->number,
		names[how], STR_ARG(line->text), STR_ARG(got));
}

static struct str take_said(struct str *out)
{
	size_t end = str_find(*out, '\n');
	struct str line = str_head(*out, end < out->len ? end + 1 : end);
	*out = str_skip(*out, line.len);
	return line;
}

static bool fits(const struct line *line, struct str said)
{
	return line->prefix ? str_starts(said, line->text) : str_eq(said, line->text);
}

/* Line `i` of the dialogue, one of the server's, against what it says next.  */
static void expect(const struct dialog *d, size_t i, enum how how, struct str *out)
{
	const struct line *line = &d->lines[i];
	if (line->kind == SERVER) {
		struct str said = take_said(out);
		if (!fits(line, said)) mismatch(d, line, how, said);
		return;
	}
	if (i + 1 == d->count || d->lines[i + 1].kind != SERVER)
		bad(d, line->number, "<* wants a < line behind it");
	for (;;) {
		struct str rest = *out, said = take_said(&rest);
		if (fits(&d->lines[i + 1], said)) return;
		if (!str_starts(said, line->text)) mismatch(d, line, how, said);
		*out = rest;
	}
}

static void say_all(const struct dialog *d, struct play *p, size_t from, size_t to, enum how how)
{
	struct buf sent;
	buf_init(&sent, FILE_MAX);
	for (size_t i = from; i < to; i++)
		if (d->lines[i].kind == CLIENT) buf_add(&sent, d->lines[i].text);
	if (how == BY_OCTETS)
		for (size_t i = 0; i < sent.len; i++) play_feed(p, str_of(sent.ptr + i, 1));
	else
		play_feed(p, buf_str(&sent));
	buf_release(&sent);
}

/* The lines that the client sends together with line i.  */
static size_t group_end(const struct dialog *d, size_t i)
{
	while (i < d->count && d->lines[i].kind == CLIENT) i++;
	return i;
}

static void play_dialog(const struct dialog *d, enum how how)
{
	struct play p;
	struct buf content;
	play_begin(&p, &d->config);
	buf_init(&content, FILE_MAX);
	smtp_server_greet(&p.s, p.now, NULL);
	play_events(&p);
	if (how == ALL_AT_ONCE) say_all(d, &p, 0, d->count, how);
	size_t seen = 0; /* octets of p.out that were expected */
	for (size_t i = 0; i < d->count; i++) {
		const struct line *line = &d->lines[i];
		struct str out = str_skip(buf_str(&p.out), seen);
		switch (line->kind) {
		case CLIENT:
			if (how == ALL_AT_ONCE || (i > 0 && d->lines[i - 1].kind == CLIENT)) break;
			if (out.len) mismatch(d, line, how, out);
			say_all(d, &p, i, group_end(d, i), how);
			break;
		case SERVER:
		case SERVER_MANY:
			expect(d, i, how, &out);
			seen = p.out.len - out.len;
			break;
		case CLOSED:
			if (!p.closed || out.len) mismatch(d, line, how, out);
			break;
		case CONTENT: buf_add(&content, line->text); break;
		}
	}
	struct str rest = str_skip(buf_str(&p.out), seen);
	if (rest.len) mismatch(d, &d->lines[d->count - 1], how, rest);
	if (content.len && !str_eq(buf_str(&content), buf_str(&p.messages)))
		fail_msg("%s: content \"" STR_FMT "\"", d->name, STR_ARG(buf_str(&p.messages)));
	buf_release(&content);
	play_end(&p);
}

static char directory[2048];

static void play_file(const char *name)
{
	static char file[FILE_MAX];
	static struct dialog d;
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *f = fopen(path, "rb");
	if (!f) fail_msg("%s cannot be read", path);
	size_t len = fread(file, 1, sizeof(file), f);
	fclose(f);
	read_dialog(&d, name, str_of(file, len));
	for (enum how how = 0; how < HOW_MANY; how++) play_dialog(&d, how);
	buf_release(&d.text);
}

static int is_dialog(const struct dirent *entry)
{
	return str_iends(str_from_c(entry->d_name), STR(".smtp"));
}

static void test_dialogs(void **state)
{
	(void)state;
	struct dirent **names;
	int count = scandir(directory, &names, is_dialog, alphasort);
	assert_true(count >= 50);
	for (int i = 0; i < count; i++) {
		play_file(names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dialogs)};
	if (argc != 2) {
		fputs("usage: dialog_test TESTS-DIRECTORY\n", stderr);
		return 64;
	}
	snprintf(directory, sizeof(directory), "%s/dialog", argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
