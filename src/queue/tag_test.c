#include "queue/queue.h"

#include "base/test.h"

static void variants_of_one_sender_share_a_tag(void **state)
{
	(void)state;
	static const char *const same[][2] = {
		{"alice@example.com", "Alice@EXAMPLE.com"},
		{"list+tok1@example.com", "list+other@example.com"},
		{"list-return-42-bob=example.org@lists.example",
			"list-return-7-carol=example.net@lists.example"},
		{"bounce17@example.com", "bounce18@example.com"},
		{"news-5f3a9c@example.com", "news-aa01bc@example.com"},
		{"", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_int_equal(
			queue_tag(str_from_c(same[i][0])), queue_tag(str_from_c(same[i][1])));
}

static void different_senders_have_different_tags(void **state)
{
	(void)state;
	static const char *const all[] = {"", "alice@example.com", "bob@example.com",
		"alice@example.org", "alice-maria@example.com", "alice-rosa@example.com",
		"list@example.com", "postmaster", "+x@example.com", "-1@example.com"};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(
				queue_tag(str_from_c(all[i])), queue_tag(str_from_c(all[j])));
	}
}

static void a_long_address_is_no_harm(void **state)
{
	(void)state;
	char text[1000];
	memset(text, 'a', sizeof(text));
	uint32_t tag = queue_tag(str_of(text, sizeof(text)));
	text[999] = '@';
	assert_int_not_equal(tag, queue_tag(str_of(text, sizeof(text))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variants_of_one_sender_share_a_tag),
		cmocka_unit_test(different_senders_have_different_tags),
		cmocka_unit_test(a_long_address_is_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
