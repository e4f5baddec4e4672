#include "server/ucl.h"

#include "base/test.h"
#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>

struct fixture {
	struct io *io;
	struct arena arena;
	struct complaints complaints;
	struct buf said, shown;
};

static void begin(struct fixture *f)
{
	f->io = io_new();
	assert_non_null(f->io);
	arena_init(&f->arena, 64 << 20);
	complaints_init(&f->complaints, &f->arena);
	buf_init(&f->said, 1 << 16);
	buf_init(&f->shown, 1 << 16);
}

static void end(struct fixture *f)
{
	arena_release(&f->arena);
	buf_release(&f->said);
	buf_release(&f->shown);
	io_free(f->io);
}

/* The tree as one line: key@line=value.  */
static void show(struct buf *out, const struct ucl_value *v)
{
	if (v->key.len) buf_printf(out, STR_FMT "@%u=", STR_ARG(v->key), v->place.line);
	if (v->type == UCL_TEXT) {
		buf_printf(out, "'" STR_FMT "'", STR_ARG(v->text));
		assert_int_equal(v->text.ptr[v->text.len], 0);
		return;
	}
	buf_add_c(out, v->type == UCL_LIST ? '[' : '{');
	for (const struct ucl_value *inner = v->first; inner; inner = inner->next) {
		show(out, inner);
		if (inner->next) buf_add_c(out, ' ');
	}
	buf_add_c(out, v->type == UCL_LIST ? ']' : '}');
}

static void check(const char *text, const char *wanted, const char *complaints)
{
	struct fixture f;
	begin(&f);
	const struct ucl_value *root =
		ucl_parse(f.io, &f.arena, "conf", str_from_c(text), &f.complaints);
	assert_non_null(root);
	complaints_print(&f.complaints, &f.said);
	show(&f.shown, root);
	if (wanted) assert_str(buf_str(&f.shown), wanted);
	assert_str(buf_str(&f.said), complaints);
	end(&f);
}

static void forms(void **state)
{
	(void)state;
	check("", "{}", "");
	check("a = 1", "{a@1='1'}", "");
	check("a: 1\nb 2;c=3, d = x y z # no\n", "{a@1='1' b@2='2' c@2='3' d@2='x y z'}", "");
	check("a = x#y", "{a@1='x#y'}", "");
	check("a = \"b, c; # \\\" \\u00e9\"", "{a@1='b, c; # \" \xc3\xa9'}", "");
	check("a = 'it\\'s \\n'", "{a@1='it's \\n'}", "");
	check("a = \"\"", "{a@1=''}", "");
	check("a = <<END\none\n two\nEND\nb = 1", "{a@1='one\n two' b@5='1'}", "");
	check("a = <<E\nE\n", "{a@1=''}", "");
	check("a = [1, \"b\", [c d]\n]", "{a@1=['1' 'b' ['c d']]}", "");
	check("a = [1] b { c = 2 } d = \"3\" e = 4", "{a@1=['1'] b@1={c@1='2'} d@1='3' e@1='4'}",
		"");
	check("to = [smtp:A:25, smtp:[::1]:26]", "{to@1=['smtp:A:25' 'smtp:[::1]:26']}", "");
	check("d = maildir:mail/%{domain}/%{user}\n", "{d@1='maildir:mail/%{domain}/%{user}'}", "");
	check("{\"a\": {\"b\": [1, 2]}, \"c\": true}", "{a@1={b@1=['1' '2']} c@1='true'}", "");
	check("\xef\xbb\xbf"
	      "a=1\r\nb=2\r\n",
		"{a@1='1' b@2='2'}", "");
}

static void blocks(void **state)
{
	(void)state;
	check("q { a = 1 }", "{q@1={a@1='1'}}", "");
	check("q\n{\na = 1\n}\n", "{q@1={a@3='1'}}", "");
	check("q = { a = 1, b = 2; }", "{q@1={a@1='1' b@1='2'}}", "");
	check("listen mx { a = 1 }\nlisten \"sub mission\"\n{ }",
		"{listen@1={mx@1={a@1='1'} sub mission@2={}}}", "");
	check("a b c { d 1 }", "{a@1={b@1={c@1={d@1='1'}}}}", "");
	check("listen { mx { a = 1 } }", "{listen@1={mx@1={a@1='1'}}}", "");
	/* A block may go on elsewhere; settings may not.  */
	check("q { a = 1 }\nq { b = 2 }", "{q@1={a@1='1' b@2='2'}}", "");
	check("q { a = 1 }\n\nq { a = 2 }", "{q@1={a@1='1'}}",
		"conf:3: \"a\" is set twice; it was in conf:1 already\n");
	check("q = 1\nq { a = 2 }\nb = 3", "{q@1='1' b@3='3'}",
		"conf:2: \"q\" is set twice; it was in conf:1 already\n");
	check("/* a { /* b */ \n */ c = 1 # { \n", "{c@2='1'}", "");
}

static void mistakes(void **state)
{
	(void)state;
	check("a = 1\nb = \n", NULL, "conf:3: a value is missing here; the empty text is \"\"\n");
	check("a = 1\nq {\n b = 1\n", "{a@1='1' q@2={b@3='1'}}",
		"conf:2: this block is not closed; a } is missing\n");
	check("a = [1,\n2", NULL, "conf:1: this list is not closed; a ] is missing\n");
	check("a = [1,\n2 }", NULL, "conf:1: this list is not closed; a ] is missing\n");
	check("\na = \"x\nb = 1", NULL, "conf:2: this text is not closed; a \" is missing\n");
	check("a = 'x", NULL, "conf:1: this text is not closed; a ' is missing\n");
	check("a = <<END\nx\n", NULL,
		"conf:1: this text is not closed; after <<WORD a line with WORD alone must follow\n");
	check("a = \"\\x\"", NULL,
		"conf:1: this escape is unknown; there are \\n \\r \\t \\b \\f \\\" \\\\ \\/ \\uXXXX\n");
	check("a = \"\\u0000\"", NULL,
		"conf:1: this escape is unknown; there are \\n \\r \\t \\b \\f \\\" \\\\ \\/ \\uXXXX\n");
	check("a = 1\n/* b\n", NULL, "conf:2: this comment does not end; a */ is missing\n");
	check("a = 1\n}", NULL, "conf:2: there is '}' where a key is expected\n");
	check("= 1", NULL, "conf:1: there is '=' where a key is expected\n");
	check("a = \"b\" \"c\"", NULL,
		"conf:1: there is '\"' after a value; put text that holds such characters into quotes\n");
	check("{a = 1}\nb", NULL, "conf:2: there is something behind the last }\n");
	check("a = 1\nb = \xff\n", "{}", "conf:2: this line is not UTF-8 text\n");
	check("a", NULL, "conf:1: a value is missing here; the empty text is \"\"\n");
	check("a={a={a={a={a={a={a={a={a={a={a={a={a={a={a={a={a={", NULL,
		"conf:1: blocks and lists are nested too deep\n");
}

static void zero_octet(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f);
	assert_non_null(ucl_parse(f.io, &f.arena, "conf", STR("a = 1\nb = x\0y\n"), &f.complaints));
	complaints_print(&f.complaints, &f.said);
	assert_str(buf_str(&f.said), "conf:2: this line is not UTF-8 text\n");
	end(&f);
}

/* Whatever the file is cut to, reading it ends, and in a tree.  */
static void every_cut(void **state)
{
	(void)state;
	static const char text[] =
		"a = <<E\nx\nE\nlisten mx { b = [\"x\", y], /* c */ d '1' }\nq { e : %{u} # f\n}\ng=\"\\u00e9\"";
	for (size_t len = 0; len < sizeof text; len++) {
		struct fixture f;
		begin(&f);
		char *exact = malloc(len ? len : 1);
		assert_non_null(exact);
		memcpy(exact, text, len);
		assert_non_null(
			ucl_parse(f.io, &f.arena, "conf", str_of(exact, len), &f.complaints));
		free(exact);
		end(&f);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void includes(void **state)
{
	(void)state;
	char directory[] = "/tmp/rockdove-ucl-XXXXXX", main_path[64], path[64], wanted[512];
	assert_non_null(mkdtemp(directory));
	snprintf(main_path, sizeof main_path, "%s/main.conf", directory);
	snprintf(path, sizeof path, "%s/more.conf", directory);
	write_file(main_path,
		"a = 1\n.include \"more.conf\"\n.try_include \"none.conf\"\ninclude \"none.conf\"\nc = 3\n");
	write_file(path, "b = 2\na = 4\nd = \n");

	struct fixture f;
	begin(&f);
	const struct ucl_value *root = ucl_read(f.io, &f.arena, main_path, &f.complaints);
	show(&f.shown, root);
	assert_str(buf_str(&f.shown), "{a@1='1' b@1='2' c@5='3'}");
	assert_string_equal(ucl_find(root, STR("b"))->place.file, path);
	complaints_print(&f.complaints, &f.said);
	snprintf(wanted, sizeof wanted,
		"%s:4: %s/none.conf cannot be read: No such file or directory\n"
		"%s:2: \"a\" is set twice; it was in %s:1 already\n"
		"%s:4: a value is missing here; the empty text is \"\"\n",
		main_path, directory, path, main_path, path);
	assert_str(buf_str(&f.said), wanted);
	end(&f);

	write_file(path, "include more.conf\n");
	begin(&f);
	assert_non_null(ucl_read(f.io, &f.arena, path, &f.complaints));
	complaints_print(&f.complaints, &f.said);
	snprintf(wanted, sizeof wanted,
		"%s:1: \"more.conf\" is included too deep; does it include itself?\n", path);
	assert_str(buf_str(&f.said), wanted);
	end(&f);

	begin(&f);
	snprintf(path, sizeof path, "%s/none", directory);
	assert_non_null(ucl_read(f.io, &f.arena, path, &f.complaints));
	complaints_print(&f.complaints, &f.said);
	snprintf(wanted, sizeof wanted, "%s: cannot be read: No such file or directory\n", path);
	assert_str(buf_str(&f.said), wanted);
	end(&f);

	snprintf(path, sizeof path, "%s/more.conf", directory);
	unlink(main_path), unlink(path), rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(blocks),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(zero_octet),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(includes),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
