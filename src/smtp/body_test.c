#include "smtp/body.h"

#include "base/test.h"

#include <sys/mman.h>

/* ---- A reference that is plainly right: whole input, no states ---- */

struct result {
	char content[512];
	size_t len, used;
	bool ended, eight_bit;
	enum body_fault fault;
};

static bool at(struct str s, size_t i, const char *text)
{
	return i <= s.len && str_starts(str_skip(s, i), str_from_c(text));
}

/* Index behind CRLF.CRLF, the first CRLF being that of the command; s.len + 1 when there is none.
 */
static size_t naive_end(struct str s)
{
	if (at(s, 0, ".\r\n")) return 3;
	for (size_t i = 0; i < s.len; i++)
		if (at(s, i, "\r\n.\r\n")) return i + 5;
	return s.len + 1;
}

static void naive_fault(struct result *r, enum body_fault fault)
{
	if (r->fault == BODY_FINE) r->fault = fault;
}

static void naive_add(struct result *r, struct str s)
{
	if (s.len) memcpy(r->content + r->len, s.ptr, s.len);
	r->len += s.len;
}

/* Every line end, of whatever kind, counts, in both modes; the faults alone differ.  What stands
 * last and may yet be part of an end is left out.  */
static void naive(struct str s, bool normalize, bool raw, struct result *r)
{
	*r = (struct result){0};
	size_t end = raw ? s.len + 1 : naive_end(s);
	r->ended = end <= s.len;
	r->used = r->ended ? end : s.len;
	struct str content = str_head(s, r->ended ? end - 3 : s.len);
	size_t i = 0;
	bool start = true,
	     hard = true; /* at the start of a line, and behind a CRLF that came as such */
	while (i < content.len) {
		char c = content.ptr[i];
		r->eight_bit |= (c & 0x80) != 0;
		if (start && c == '.' && !raw) {
			start = false;
			struct str rest = str_skip(content, i);
			if (hard && !r->ended &&
				(str_eq(rest, STR(".")) || str_eq(rest, STR(".\r"))))
				break;
			i++;
			continue;
		}
		start = false;
		bool lone_cr = c == '\r' && i + 1 < content.len && content.ptr[i + 1] != '\n';
		if (c == '\r' && i + 1 == content.len) break;
		if (c == 0) {
			naive_fault(r, BODY_NUL);
			i++;
		} else if (at(content, i, "\r\n")) {
			naive_add(r, STR("\r\n"));
			start = hard = true;
			i += 2;
		} else if (lone_cr || c == '\n') {
			if (!normalize) naive_fault(r, c == '\n' ? BODY_BARE_LF : BODY_BARE_CR);
			naive_add(r, STR("\r\n"));
			start = normalize;
			hard = false;
			i++;
		} else {
			naive_add(r, str_of(&c, 1));
			i++;
		}
	}
}

/* ---- The decoder, given the input in pieces on a page behind which nothing may be read ---- */

static char *page_end;

static void decode_piece(struct body_decoder *d, struct str piece, struct result *r)
{
	char *room = page_end - piece.len;
	if (piece.len) memcpy(room, piece.ptr, piece.len);
	struct str octets = str_of(room, piece.len);
	while (octets.len && !d->ended) {
		struct str run;
		size_t used = body_decode(d, octets, &run);
		assert_true(used > 0 || run.len > 0);
		assert_true(d->fault == BODY_FINE || run.len == 0);
		naive_add(r, run);
		r->used += used;
		octets = str_skip(octets, used);
	}
}

static void decode(struct str s, bool normalize, bool raw, size_t cut, struct result *r)
{
	struct body_decoder d;
	body_decoder_init(&d, normalize, STR_NONE);
	d.raw = raw;
	*r = (struct result){0};
	if (cut == SIZE_MAX) {
		for (size_t i = 0; i < s.len && !d.ended; i++)
			decode_piece(&d, str_of(s.ptr + i, 1), r);
	} else {
		decode_piece(&d, str_head(s, cut), r);
		if (!d.ended) decode_piece(&d, str_skip(s, cut), r);
	}
	r->ended = d.ended;
	r->fault = d.fault;
	r->eight_bit = d.eight_bit;
	if (d.fault == BODY_FINE) assert_int_equal(d.size, r->len);
}

static void compare(struct str s, bool normalize, bool raw, size_t cut, const struct result *wanted)
{
	struct result got;
	decode(s, normalize, raw, cut, &got);
	bool same = got.used == wanted->used && got.ended == wanted->ended &&
		got.fault == wanted->fault && got.eight_bit == wanted->eight_bit;
	/* After a fault nobody wants the content.  */
	if (same && got.fault == BODY_FINE)
		same = str_eq(str_of(got.content, got.len), str_of(wanted->content, wanted->len));
	if (same) return;
	for (size_t i = 0; i < s.len; i++) print_message("%02x ", (unsigned char)s.ptr[i]);
	fail_msg("normalize %d raw %d cut %zd: used %zu/%zu ended %d/%d fault %d/%d len %zu/%zu",
		normalize, raw, (ssize_t)cut, got.used, wanted->used, got.ended, wanted->ended,
		got.fault, wanted->fault, got.len, wanted->len);
}

static void check_all_ways(struct str s)
{
	for (int mode = 0; mode < 4; mode++) {
		bool normalize = mode & 1, raw = mode & 2;
		struct result wanted;
		naive(s, normalize, raw, &wanted);
		for (size_t cut = 0; cut < s.len || cut == 0; cut++)
			compare(s, normalize, raw, cut, &wanted);
		compare(s, normalize, raw, SIZE_MAX, &wanted);
	}
}

/* All strings over the octets that mean something, up to 8 long, in one piece and cut everywhere.
 */
static void test_all_strings(void **state)
{
	(void)state;
	static const char alphabet[] = {'\r', '\n', '.', 'a', 0};
	size_t ended = 0;
	for (size_t len = 0; len <= 8; len++) {
		size_t all = 1;
		for (size_t i = 0; i < len; i++) all *= sizeof(alphabet);
		for (size_t number = 0; number < all; number++) {
			char text[8];
			for (size_t i = 0, n = number; i < len; i++, n /= sizeof(alphabet))
				text[i] = alphabet[n % sizeof(alphabet)];
			check_all_ways(str_of(text, len));
			ended += naive_end(str_of(text, len)) <= len;
		}
	}
	assert_true(ended > 1000);
}

/* The same at every distance from the front, so that each lane of a vector and the rest behind it
 * are met.  */
static void test_behind_plain_text(void **state)
{
	(void)state;
	static const struct str tails[] = {
		STR("\r\n.\r\n"),
		STR("\r\n..\r\nx\r\n.\r\n"),
		STR("\n.\n"),
		STR("\r.\r\n"),
		STR("\0\r\n.\r\n"),
		STR("\r\n.\r\r\n.\r\n"),
		STR("\xe6\x97\xa5\r\n.\r\n"),
		STR("\r\n.\r\n\xff"),
		STR("\r"),
		STR("\xff"),
		STR("\r\n\xff.\r\n.\r\n"),
	};
	char text[128];
	for (size_t front = 0; front < 70; front++) {
		for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
			memset(text, 'a', front);
			memcpy(text + front, tails[i].ptr, tails[i].len);
			check_all_ways(str_of(text, front + tails[i].len));
			memset(text + front + tails[i].len, 'b', 30);
			check_all_ways(str_of(text, front + tails[i].len + 30));
		}
	}
}

static void test_runs_are_large(void **state)
{
	(void)state;
	char text[78 * 100];
	for (size_t i = 0; i < 100; i++) {
		memset(text + i * 78, 'x', 76);
		memcpy(text + i * 78 + 76, "\r\n", 2);
	}
	struct body_decoder d;
	struct str run;
	body_decoder_init(&d, false, STR_NONE);
	assert_int_equal(body_decode(&d, str_of(text, sizeof(text)), &run), sizeof(text));
	assert_ptr_equal(run.ptr, text);
	assert_int_equal(run.len, sizeof(text));
}

static void finish(struct str s, bool normalize, enum body_fault fault, const char *last)
{
	struct body_decoder d;
	struct str run;
	struct result r = {0};
	body_decoder_init(&d, normalize, STR_NONE);
	d.raw = true;
	decode_piece(&d, s, &r);
	body_finish(&d, &run);
	assert_int_equal(d.fault, fault);
	assert_str(run, last);
	body_finish(&d, &run);
	assert_int_equal(run.len, 0);
}

static void test_finish(void **state)
{
	(void)state;
	finish(STR("a\r\n"), false, BODY_FINE, "");
	finish(STR("a"), false, BODY_FINE, "");
	finish(STR("a\r"), false, BODY_BARE_CR, "");
	finish(STR("a\r"), true, BODY_FINE, "\r\n");
	finish(STR("\0a\r"), true, BODY_NUL, "");
	finish(STR("a\n\r"), false, BODY_BARE_LF, "");
}

static void end_word(
	struct str s, bool normalize, const char *content, const char *rest, bool ended)
{
	for (size_t cut = 0; cut <= s.len; cut++) {
		struct body_decoder d;
		struct result r = {0};
		body_decoder_init(&d, normalize, STR("end of email"));
		decode_piece(&d, str_head(s, cut), &r);
		if (!d.ended) decode_piece(&d, str_skip(s, cut), &r);
		assert_int_equal(d.ended, ended);
		assert_str(str_of(r.content, r.len), content);
		assert_str(str_skip(s, r.used), rest);
	}
}

static void test_end_word(void **state)
{
	(void)state;
	end_word(STR("hi\r\nend of email\r\nQUIT"), false, "hi\r\n", "QUIT", true);
	end_word(STR("end of email\r\n"), false, "", "", true);
	end_word(STR("hi\r\n.\r\nQUIT"), false, "hi\r\n", "QUIT", true);
	end_word(STR("end of emails\r\nx end of email\r\nend of email \r\n.\r\n"), false,
		"end of emails\r\nx end of email\r\nend of email \r\n", "", true);
	end_word(STR("e\r\nen\r\nenx\r\nee\r\n.end of email\r\nend of mail\r\n"), false,
		"e\r\nen\r\nenx\r\nee\r\nend of email\r\nend of mail\r\n", "", false);
	end_word(STR("End of email\r\n"), false, "End of email\r\n", "", false);
	/* Behind a bare LF, and before one, it is text.  */
	end_word(STR("a\nend of email\r\nx"), true, "a\r\nend of email\r\nx", "", false);
	end_word(STR("end of email\nx"), true, "end of email\r\nx", "", false);
	end_word(STR("end of email\rx"), true, "end of email\r\nx", "", false);
	end_word(STR("end of email\r\rx"), true, "end of email\r\n\r\nx", "", false);
}

static void test_end_word_after_a_fault(void **state)
{
	(void)state;
	struct body_decoder d;
	struct result r = {0};
	body_decoder_init(&d, false, STR("end of email"));
	decode_piece(&d, STR("a\nb\r\nend of email\r\nx"), &r);
	assert_true(d.ended);
	assert_int_equal(d.fault, BODY_BARE_LF);
	assert_int_equal(r.used, 19);
}

static void stuff(struct str s, const char *wanted)
{
	for (size_t cut = 0; cut <= s.len; cut++) {
		struct buf out;
		bool start = true;
		buf_init(&out, 200);
		assert_true(body_stuff(&out, str_head(s, cut), &start));
		assert_true(body_stuff(&out, str_skip(s, cut), &start));
		assert_str(buf_str(&out), wanted);
		assert_int_equal(start, s.len == 0 || s.ptr[s.len - 1] == '\n');
		buf_release(&out);
	}
}

static void test_stuffing(void **state)
{
	(void)state;
	stuff(STR(""), "");
	stuff(STR("."), "..");
	stuff(STR("..\r\n"), "...\r\n");
	stuff(STR("a.b\r\n.c\r\n.\r\n\r\n."), "a.b\r\n..c\r\n..\r\n\r\n..");
	stuff(STR("a\r\nb\r\n"), "a\r\nb\r\n");
}

static void test_stuffing_is_undone(void **state)
{
	(void)state;
	static const char alphabet[] = {'\r', '\n', '.', 'a'};
	for (unsigned number = 0; number < 4096; number++) {
		char text[8];
		size_t len = 0;
		for (unsigned n = number, i = 0; i < 6; i++, n /= 4) text[len++] = alphabet[n % 4];
		memcpy(text + len, "\r\n", 2);
		struct result plain;
		naive(str_of(text, 8), false, true, &plain);
		if (plain.fault != BODY_FINE) continue;
		struct buf out;
		struct result back;
		bool start = true;
		buf_init(&out, 100);
		assert_true(body_stuff(&out, str_of(text, 8), &start));
		buf_add(&out, STR(".\r\n"));
		decode(buf_str(&out), false, false, 0, &back);
		assert_true(back.ended && back.used == out.len);
		assert_true(str_eq(str_of(back.content, back.len), str_of(text, 8)));
		buf_release(&out);
	}
}

static void test_stuffing_without_room(void **state)
{
	(void)state;
	for (size_t max = 0; max < 12; max++) {
		struct buf out;
		bool start = true;
		buf_init(&out, max);
		bool fits = body_stuff(&out, STR(".a\r\n.b\r\n"), &start);
		assert_int_equal(fits, max >= 10);
		assert_int_equal(out.len, fits ? 10 : 0);
		assert_true(start);
		buf_release(&out);
	}
}

static int map_page(void **state)
{
	(void)state;
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	page_end = pages + 4096;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_strings),
		cmocka_unit_test(test_behind_plain_text),
		cmocka_unit_test(test_runs_are_large),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_end_word),
		cmocka_unit_test(test_end_word_after_a_fault),
		cmocka_unit_test(test_stuffing),
		cmocka_unit_test(test_stuffing_is_undone),
		cmocka_unit_test(test_stuffing_without_room),
	};
	return cmocka_run_group_tests(tests, map_page, NULL);
}
