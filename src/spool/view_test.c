#include "spool/view.h"

#include "base/test.h"

static size_t make(char to[256])
{
	struct disk_accept head = {.tag = 3,
		.recipients = 2,
		.states = 5,
		.envelope = 7,
		.chunks = 1,
		.body = 4,
		.size = 11};
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), "STATEenvelopCCCCCCCCCCCCCCCCCCCCCCCCbody", 40);
	return sizeof(head) + 40;
}

static void an_accept_record_is_cut_into_its_parts(void **state)
{
	(void)state;
	char octets[256];
	struct accept_view view;
	size_t len = make(octets);
	assert_true(accept_view(str_of(octets, len), &view));
	assert_str(view.states, "STATE");
	assert_int_equal(view.envelope.len, 7);
	assert_int_equal(view.chunks.len, sizeof(struct disk_chunk));
	assert_str(view.body, "body");
	for (size_t cut = 0; cut < len; cut++)
		assert_false(accept_view(str_of(octets, cut), &view));
	assert_false(accept_view(str_of(octets, len + 1), &view));
	/* Lengths that lie about what there is.  */
	for (size_t at = offsetof(struct disk_accept, states);
		at < offsetof(struct disk_accept, size); at++) {
		make(octets);
		octets[at] = (char)(octets[at] ^ 0x41);
		assert_false(accept_view(str_of(octets, len), &view));
	}
}

static void states_are_taken_one_by_one(void **state)
{
	(void)state;
	char octets[64];
	struct disk_recipient one = {.index = 1, .state = 2, .outcome = 3}, two = {.index = 2};
	memcpy(octets, &one, sizeof(one));
	memcpy(octets + sizeof(one), "abc", 3);
	memcpy(octets + sizeof(one) + 3, &two, sizeof(two));
	size_t len = 2 * sizeof(one) + 3;
	for (size_t cut = 0; cut <= len; cut++) {
		struct str rest = str_of(octets, cut), outcome;
		struct disk_recipient got;
		uint32_t count = 0;
		while (take_recipient(&rest, &got, &outcome)) {
			assert_int_equal(got.index, ++count);
			if (count == 1) assert_str(outcome, "abc");
		}
		assert_int_equal(count, cut < sizeof(one) + 3 ? 0 : cut < len ? 1 : 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accept_record_is_cut_into_its_parts),
		cmocka_unit_test(states_are_taken_one_by_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
