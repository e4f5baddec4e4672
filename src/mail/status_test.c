#include "mail/status.h"

#include "base/test.h"

static void test_enhanced(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned class, subject, detail;
		size_t len;
	} good[] = {
		{"2.0.0", 2, 0, 0, 5},
		{"5.1.1 no such user", 5, 1, 1, 5},
		{"4.7.0\nnext", 4, 7, 0, 5},
		{"5.123.999 x", 5, 123, 999, 9},
		{"5.7.26-x", 5, 7, 26, 6},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct enhanced e;
		size_t len;
		assert_true(enhanced_parse(str_from_c(good[i].text), &e, &len));
		assert_int_equal(e.class, good[i].class);
		assert_int_equal(e.subject, good[i].subject);
		assert_int_equal(e.detail, good[i].detail);
		assert_int_equal(len, good[i].len);
		struct buf out;
		buf_init(&out, 16);
		enhanced_add(&out, e);
		assert_true(str_eq(buf_str(&out), str_head(str_from_c(good[i].text), len)));
		buf_release(&out);
	}
	static const char *const bad[] = {"", "5", "5.", "5.1", "5.1.", "5.1.x", "3.1.1", "0.0.0",
		"5..1", ".1.1", "5.1.1000", "5.1000.1", "5.1.1.1", "5.1.1a", "5.1.-1", " 5.1.1",
		"51.1.1", "5,1,1"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct enhanced e;
		if (enhanced_parse(str_from_c(bad[i]), &e, NULL)) fail_msg("%s", bad[i]);
	}
}

static void test_local(void **state)
{
	(void)state;
	struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("no answer"));
	assert_int_equal(o.class, OUTCOME_DEFERRED);
	assert_int_equal(o.code, 451);
	assert_int_equal(o.enhanced.subject, 4);
	assert_str(o.text, "no answer");
	assert_false(o.remote);
	assert_int_equal(outcome_local(OUTCOME_FAILED, "5.1.1", STR("")).code, 550);
	assert_int_equal(outcome_local(OUTCOME_DELIVERED, "2.0.0", STR("")).code, 250);
}

static void test_names_and_finality(void **state)
{
	(void)state;
	assert_string_equal(outcome_name(OUTCOME_NONE), "none");
	assert_string_equal(outcome_name(OUTCOME_DELETED), "deleted");
	assert_false(outcome_final(OUTCOME_NONE));
	assert_false(outcome_final(OUTCOME_DEFERRED));
	assert_true(outcome_final(OUTCOME_DELIVERED));
	assert_true(outcome_final(OUTCOME_EXPIRED));
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->class, b->class);
	assert_int_equal(a->code, b->code);
	assert_int_equal(a->enhanced.class, b->enhanced.class);
	assert_int_equal(a->enhanced.subject, b->enhanced.subject);
	assert_int_equal(a->enhanced.detail, b->enhanced.detail);
	assert_true(str_eq(a->text, b->text));
	assert_true(str_eq(a->host, b->host));
	assert_true(str_eq(a->tls, b->tls));
	assert_int_equal(a->remote, b->remote);
	assert_int_equal(a->doubtful, b->doubtful);
}

static const struct outcome full = {.class = OUTCOME_FAILED,
	.code = 550,
	.enhanced = {5, 712, 26},
	.text = STR("5.7.26 no, thank you"),
	.host = STR("mx1.example.net[192.0.2.1]:25"),
	.tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384"),
	.remote = true};

static void test_round_trip(void **state)
{
	(void)state;
	static const struct outcome doubtful = {.class = OUTCOME_DEFERRED, .doubtful = true};
	const struct outcome *const all[] = {&full, &doubtful, &(struct outcome){0}};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct buf out;
		buf_init(&out, 1000);
		assert_true(outcome_encode(&out, all[i]));
		buf_add_c(&out, '!');
		struct str from = buf_str(&out);
		struct outcome back, copy;
		assert_true(outcome_decode(&from, &back));
		assert_str(from, "!");
		assert_same(all[i], &back);
		struct arena arena;
		arena_init(&arena, 4096);
		assert_true(outcome_copy(&back, &arena, &copy));
		buf_release(&out);
		assert_same(all[i], &copy);
		arena_release(&arena);
	}
}

static void test_truncated_and_damaged(void **state)
{
	(void)state;
	struct buf out;
	struct outcome back;
	buf_init(&out, 1000);
	assert_true(outcome_encode(&out, &full));
	for (size_t n = 0; n < out.len; n++) {
		char *exact = malloc(n ? n : 1);
		memcpy(exact, out.ptr, n);
		struct str from = str_of(exact, n);
		assert_false(outcome_decode(&from, &back));
		free(exact);
	}
	struct str whole = buf_str(&out);
	out.ptr[0] = OUTCOME_DELETED + 1;
	assert_false(outcome_decode(&whole, &back));
	buf_release(&out);
}

static void test_long_text_is_cut(void **state)
{
	(void)state;
	char room[OUTCOME_TEXT_MAX + 100];
	memset(room, 'x', sizeof(room));
	struct outcome o = {.text = str_of(room, sizeof(room))}, back;
	struct buf out;
	buf_init(&out, 1000);
	assert_true(outcome_encode(&out, &o));
	struct str from = buf_str(&out);
	assert_true(outcome_decode(&from, &back));
	assert_int_equal(back.text.len, OUTCOME_TEXT_MAX);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enhanced),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_names_and_finality),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated_and_damaged),
		cmocka_unit_test(test_long_text_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
