#include "server/ucl.h"

#include "base/utf8.h"
#include "io/file.h"
#include "server/ucl_lex.h"

enum { INCLUDES_MAX = 8 };

struct parser {
	struct ucl_text t;
	struct io *io;
	unsigned depth;    /* of blocks and lists */
	unsigned includes; /* files that include this one */
};

static bool parse_block(struct parser *p, struct ucl_value *block, struct place began, bool braced);
static bool parse_value(struct parser *p, struct ucl_value *value);

struct ucl_value *ucl_find(const struct ucl_value *block, struct str key)
{
	if (!block || block->type != UCL_BLOCK) return NULL;
	for (struct ucl_value *v = block->first; v; v = v->next)
		if (str_eq(v->key, key)) return v;
	return NULL;
}

static struct ucl_value *new_value(struct parser *p, enum ucl_type type, struct str key)
{
	struct ucl_value *v = arena_alloc(p->t.arena, sizeof *v);
	if (!v) {
		complain(p->t.complaints, p->t.place, "there is no memory for this file");
		return NULL;
	}
	v->type = type;
	v->key = key;
	v->place = p->t.place;
	return v;
}

static void append(struct ucl_value *to, struct ucl_value *v)
{
	if (to->last)
		to->last->next = v;
	else
		to->first = v;
	to->last = v;
	to->count++;
}

static bool deeper(struct parser *p)
{
	if (p->depth < UCL_DEPTH_MAX) return p->depth++, true;
	complain(p->t.complaints, p->t.place, "blocks and lists are nested too deep");
	return false;
}

/* ---- values ---- */

static bool parse_list(struct parser *p, struct ucl_value *list)
{
	struct place began = p->t.place;
	ucl_advance(&p->t);
	if (!deeper(p)) return false;
	for (;;) {
		if (!ucl_skip_space(&p->t, true)) return false;
		int c = ucl_peek(&p->t);
		if (c < 0 || c == '}') {
			complain(p->t.complaints, began, "this list is not closed; a ] is missing");
			return false;
		}
		if (c == ']') break;
		struct ucl_value *v = new_value(p, UCL_TEXT, STR_NONE);
		if (!v || !parse_value(p, v)) return false;
		append(list, v);
	}
	ucl_advance(&p->t);
	p->depth--;
	return true;
}

static bool parse_braces(struct parser *p, struct ucl_value *block)
{
	struct place began = p->t.place;
	ucl_advance(&p->t);
	if (!deeper(p)) return false;
	bool fine = parse_block(p, block, began, true);
	p->depth--;
	return fine;
}

static bool parse_value(struct parser *p, struct ucl_value *value)
{
	int c = ucl_peek(&p->t);
	value->type = c == '{' ? UCL_BLOCK : c == '[' ? UCL_LIST : UCL_TEXT;
	if (value->type == UCL_BLOCK) return parse_braces(p, value);
	if (value->type == UCL_LIST) return parse_list(p, value);
	return ucl_take_text(&p->t, &value->text);
}

/* ---- settings ---- */

static void set_twice(
	struct parser *p, const struct ucl_value *again, const struct ucl_value *first)
{
	complain(p->t.complaints, again->place,
		"\"" STR_FMT "\" is set twice; it was in %s:%u already", STR_ARG(again->key),
		first->place.file, first->place.line);
}

/* The block of that key within another: the one that is there, so that it goes on, or a new one.  */
static struct ucl_value *open_block(
	struct parser *p, struct ucl_value *in, struct str key, struct place place)
{
	struct ucl_value *v = ucl_find(in, key);
	if (v && v->type == UCL_BLOCK) return v;
	struct ucl_value *block = new_value(p, UCL_BLOCK, key);
	if (!block) return NULL;
	block->place = place;
	if (v)
		set_twice(p, block, v);
	else
		append(in, block);
	return block;
}

/* `name {` or `"name" {`, perhaps with more names between: false, and nothing taken, when there is no brace.  */
static bool take_name(struct parser *p, struct str *ret_name)
{
	struct ucl_text before = p->t;
	struct complaints silent;
	complaints_init(&silent, p->t.arena);
	p->t.complaints = &silent;
	bool found = ucl_take_word(&p->t, ret_name) && ucl_skip_space(&p->t, false);
	if (found && ucl_peek(&p->t) != '{') {
		struct str more;
		struct ucl_text here = p->t;
		found = p->t.at > before.at && p->t.place.line == before.place.line &&
			take_name(p, &more);
		p->t = here;
	}
	if (!found) p->t = before;
	p->t.complaints = before.complaints;
	return found;
}

static bool parse_setting(
	struct parser *p, struct ucl_value *block, struct str key, struct place place)
{
	struct ucl_value *v = new_value(p, UCL_TEXT, key);
	if (!v) return false;
	v->place = place;
	if (!parse_value(p, v)) return false;
	const struct ucl_value *first = ucl_find(block, key);
	if (first)
		set_twice(p, v, first);
	else
		append(block, v);
	return true;
}

/* What follows key.  */
static bool parse_entry(
	struct parser *p, struct ucl_value *block, struct str key, struct place place)
{
	ucl_skip_blanks(&p->t);
	int c = ucl_peek(&p->t);
	if (c == '=' || c == ':') {
		ucl_advance(&p->t);
		if (!ucl_skip_space(&p->t, false)) return false;
		if (ucl_peek(&p->t) != '{') return parse_setting(p, block, key, place);
	}
	struct ucl_text here = p->t;
	if (!ucl_skip_space(&p->t, false)) return false;
	if (ucl_peek(&p->t) != '{') p->t = here;

	for (struct str name; ucl_peek(&p->t) != '{' && take_name(p, &name);) {
		block = open_block(p, block, key, place);
		if (!block) return false;
		key = name;
	}
	if (ucl_peek(&p->t) != '{') return parse_setting(p, block, key, place);
	block = open_block(p, block, key, place);
	return block && parse_braces(p, block);
}

/* ---- includes ---- */

static bool parse_file(struct parser *p, const char *file, struct ucl_value *block);

/* file as seen from the directory of the file that includes it.  */
static bool beside(struct parser *p, struct str file, struct str *ret_path)
{
	struct buf path;
	buf_init(&path, 8192);
	struct str from = str_from_c(p->t.place.file);
	size_t slash = str_rfind(from, '/');
	if (!str_starts(file, STR("/")) && slash < from.len)
		buf_add(&path, str_head(from, slash + 1));
	bool fine = buf_add(&path, file) && arena_copy(p->t.arena, buf_str(&path), ret_path);
	buf_release(&path);
	return fine;
}

static bool parse_include(struct parser *p, struct ucl_value *block, bool try)
{
	ucl_skip_blanks(&p->t);
	int c = ucl_peek(&p->t);
	if (c == '=' || c == ':') ucl_advance(&p->t);
	ucl_skip_blanks(&p->t);
	struct place place = p->t.place;
	struct str file, path;
	if (!ucl_take_text(&p->t, &file)) return false;
	if (!beside(p, file, &path)) return false;
	if (try && !io_path_exists(p->io, path.ptr)) return true;
	if (p->includes == INCLUDES_MAX) {
		complain(p->t.complaints, place,
			"\"" STR_FMT "\" is included too deep; does it include itself?",
			STR_ARG(file));
		return true;
	}
	struct parser inner = {
		.t = {.arena = p->t.arena, .complaints = p->t.complaints, .place = place},
		.io = p->io,
		.depth = p->depth,
		.includes = p->includes + 1};
	(void)parse_file(&inner, path.ptr, block); /* its mistakes are its own: this file goes on */
	return true;
}

/* ---- blocks and files ---- */

static bool is_include(struct str key, bool *ret_try)
{
	*ret_try = str_eq(key, STR(".try_include"));
	return *ret_try || str_eq(key, STR("include")) || str_eq(key, STR(".include"));
}

/* Behind a value the next key may follow, even on the same line, but not another value.  */
static bool check_end(struct parser *p)
{
	ucl_skip_blanks(&p->t);
	int c = ucl_peek(&p->t);
	if (c < 0 || !strchr("\"'[]{=:", c)) return true;
	complain(p->t.complaints, p->t.place,
		"there is '%c' after a value; put text that holds such characters into quotes", c);
	return false;
}

static bool parse_block(struct parser *p, struct ucl_value *block, struct place began, bool braced)
{
	for (;;) {
		if (!ucl_skip_space(&p->t, true)) return false;
		int c = ucl_peek(&p->t);
		if (c < 0 && !braced) return true;
		if (c < 0) {
			complain(
				p->t.complaints, began, "this block is not closed; a } is missing");
			return false;
		}
		if (c == '}' && braced) {
			ucl_advance(&p->t);
			return true;
		}
		struct place place = p->t.place;
		struct str key;
		bool try, fine = ucl_take_word(&p->t, &key);
		if (fine && is_include(key, &try))
			fine = parse_include(p, block, try);
		else if (fine)
			fine = parse_entry(p, block, key, place);
		if (!fine || !check_end(p)) return false;
	}
}

/* Text with foreign octets would be shown, matched and used as a path: it is refused as a whole.  */
static bool check_octets(struct parser *p)
{
	struct str rest = p->t.text, line;
	uint32_t number = 1;
	for (bool more = true; more; number++) {
		more = str_cut(&rest, '\n', &line);
		if (!memchr(line.len ? line.ptr : "x", 0, line.len) && utf8_valid(line)) continue;
		struct place place = {p->t.place.file, number};
		complain(p->t.complaints, place, "this line is not UTF-8 text");
		return false;
	}
	return true;
}

static bool parse_text(struct parser *p, const char *file, struct str text, struct ucl_value *block)
{
	p->t.text = text;
	p->t.at = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0;
	p->t.place = (struct place){file, 1};
	if (!check_octets(p) || !ucl_skip_space(&p->t, false)) return false;
	bool braced = ucl_peek(&p->t) == '{'; /* JSON as a whole */
	struct place began = p->t.place;
	if (braced) ucl_advance(&p->t);
	if (!parse_block(p, block, began, braced)) return false;
	if (!ucl_skip_space(&p->t, true)) return false;
	if (ucl_peek(&p->t) < 0) return true;
	complain(p->t.complaints, p->t.place, "there is something behind the last }");
	return false;
}

static bool parse_file(struct parser *p, const char *file, struct ucl_value *block)
{
	struct buf text;
	buf_init(&text, UCL_FILE_MAX);
	int error = io_file_load(p->io, file, &text);
	bool fine = !error;
	if (error) {
		struct place place = p->t.place.file ? p->t.place : (struct place){file, 0};
		complain(p->t.complaints, place, "%s%scannot be read: %s",
			p->t.place.file ? file : "", p->t.place.file ? " " : "", strerror(-error));
	}
	if (fine) fine = parse_text(p, file, buf_str(&text), block);
	buf_release(&text);
	return fine;
}

static struct ucl_value *begin(
	struct parser *p, struct io *io, struct arena *arena, struct complaints *complaints)
{
	*p = (struct parser){.t = {.arena = arena, .complaints = complaints}, .io = io};
	return new_value(p, UCL_BLOCK, STR_NONE);
}

struct ucl_value *ucl_parse(struct io *io, struct arena *arena, const char *file, struct str text,
	struct complaints *complaints)
{
	struct parser p;
	struct ucl_value *root = begin(&p, io, arena, complaints);
	if (root) (void)parse_text(&p, file, text, root);
	return root;
}

struct ucl_value *ucl_read(
	struct io *io, struct arena *arena, const char *file, struct complaints *complaints)
{
	struct parser p;
	struct ucl_value *root = begin(&p, io, arena, complaints);
	if (root) (void)parse_file(&p, file, root);
	return root;
}
