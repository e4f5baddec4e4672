#include "mail/envelope.h"

#include "base/test.h"

enum { ARENA_MAX = 1 << 20 };

static struct recipient recipients[] = {
	{.address = STR("bob@example.com"),
		.original = STR("sales@example.com"),
		.orcpt = STR("rfc822;sales@example.com"),
		.notify = NOTIFY_SUCCESS | NOTIFY_DELAY},
	{.address = STR("\"a b\"@[IPv6:::1]")},
	{.address = STR("j\xc3\xb6rg@example.com"), .notify = NOTIFY_NEVER},
};

static const struct envelope full = {
	.reverse_path = STR("alice@example.org"),
	.envid = STR("QQ314159"),
	.helo = STR("client.example.org"),
	.account = STR("alice@example.com"),
	.tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384"),
	.client = {.family = NET_IPV6, .port = 54321, .octets = {0x20, 1, 0xd, 0xb8, [15] = 7}},
	.flags = ENVELOPE_8BIT | ENVELOPE_UTF8 | ENVELOPE_RET_HDRS | ENVELOPE_ESMTP,
	.size = 0x123456789a,
	.created = 1795324367123,
	.hold_until = 1795324367124,
	.recipients = recipients,
	.recipient_count = ARRAY_LEN(recipients),
};

static void assert_same(const struct envelope *a, const struct envelope *b)
{
	assert_true(str_eq(a->reverse_path, b->reverse_path));
	assert_true(str_eq(a->envid, b->envid));
	assert_true(str_eq(a->helo, b->helo));
	assert_true(str_eq(a->account, b->account));
	assert_true(str_eq(a->tls, b->tls));
	assert_int_equal(a->client.family, b->client.family);
	assert_int_equal(a->client.port, b->client.port);
	assert_memory_equal(a->client.octets, b->client.octets, sizeof(a->client.octets));
	assert_true(str_eq(str_from_c(a->client.path), str_from_c(b->client.path)));
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->created, b->created);
	assert_int_equal(a->hold_until, b->hold_until);
	assert_int_equal(a->recipient_count, b->recipient_count);
	for (uint32_t i = 0; i < a->recipient_count; i++) {
		const struct recipient *x = &a->recipients[i], *y = &b->recipients[i];
		assert_true(str_eq(x->address, y->address));
		assert_true(str_eq(x->original, y->original));
		assert_true(str_eq(x->orcpt, y->orcpt));
		assert_int_equal(x->notify, y->notify);
	}
}

static void round_trip(const struct envelope *e)
{
	struct buf out;
	struct arena arena;
	buf_init(&out, 1 << 16);
	arena_init(&arena, ARENA_MAX);
	assert_true(envelope_encode(&out, e));
	assert_true(buf_add(&out, STR("next")));

	struct str from = buf_str(&out);
	struct envelope back;
	assert_true(envelope_decode(&from, &arena, &back));
	assert_str(from, "next");
	memset(out.ptr, 'x', out.len); /* nothing is borrowed */
	assert_same(e, &back);

	struct envelope copy;
	struct arena other;
	arena_init(&other, ARENA_MAX);
	assert_true(envelope_copy(&back, &other, &copy));
	arena_release(&arena);
	assert_same(e, &copy);
	arena_release(&other);
	buf_release(&out);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip(&full);
	round_trip(&(struct envelope){0});
	round_trip(&(struct envelope){.client = {.family = NET_UNIX, .path = "/run/x.sock"},
		.flags = UINT32_MAX,
		.recipients = recipients,
		.recipient_count = 1,
		.created = -1});
	round_trip(&(struct envelope){.client = {.family = NET_IPV4, .octets = {192, 0, 2, 1}}});
}

static void test_truncated_anywhere(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 16);
	assert_true(envelope_encode(&out, &full));
	for (size_t n = 0; n < out.len; n++) {
		char *exact = malloc(n ? n : 1);
		memcpy(exact, out.ptr, n);
		struct str from = str_of(exact, n);
		struct arena arena;
		struct envelope back;
		arena_init(&arena, ARENA_MAX);
		assert_false(envelope_decode(&from, &arena, &back));
		assert_int_equal(from.len, n);
		arena_release(&arena);
		free(exact);
	}
	buf_release(&out);
}

/* Whatever octet is damaged: it is refused, or read as something, never past the end.  */
static void test_damaged_anywhere(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 16);
	assert_true(envelope_encode(&out, &full));
	size_t refused = 0;
	for (size_t at = 0; at < out.len; at++) {
		char kept = out.ptr[at];
		out.ptr[at] = (char)0xff;
		struct str from = buf_str(&out);
		struct arena arena;
		struct envelope back;
		arena_init(&arena, ARENA_MAX);
		refused += !envelope_decode(&from, &arena, &back);
		arena_release(&arena);
		out.ptr[at] = kept;
	}
	assert_true(refused >= 40); /* the version, the family, and the octets of most lengths */
	buf_release(&out);
}

/* A count of recipients that cannot be asks for no memory.  */
static void test_damaged_count(void **state)
{
	(void)state;
	struct buf out;
	struct arena arena;
	struct envelope back;
	buf_init(&out, 1000);
	assert_true(envelope_encode(&out, &(struct envelope){0}));
	memcpy(out.ptr + out.len - 4, "\xff\xff\xff\x01", 4);
	struct str from = buf_str(&out);
	arena_init(&arena, SIZE_MAX);
	assert_false(envelope_decode(&from, &arena, &back));
	assert_int_equal(arena.used, 0);
	arena_release(&arena);
	buf_release(&out);
}

static void test_no_memory(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 16);
	assert_true(envelope_encode(&out, &full));
	size_t failed = 0;
	for (size_t max = 0; max < 2000; max += 16) {
		struct arena arena;
		struct envelope back, copy;
		struct str from = buf_str(&out);
		arena_init(&arena, max);
		failed += !envelope_decode(&from, &arena, &back);
		arena_release(&arena);
		failed += !envelope_copy(&full, &arena, &copy);
		arena_release(&arena);
	}
	assert_true(failed > 20 && failed < 250);
	buf_release(&out);

	buf_init(&out, 100);
	assert_false(envelope_encode(&out, &full));
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_damaged_anywhere),
		cmocka_unit_test(test_damaged_count),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
