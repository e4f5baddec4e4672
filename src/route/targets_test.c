#include "base/test.h"
#include "io/test.h"
#include "route/lookup.h"

/* A lookup whose questions are all answered; the verdict as text.  */
struct town {
	struct router router;
	struct latency *latency;
	struct net_address own[2];
	struct host hosts[8];
	struct route_lookup lookup;
	struct route_lookup_private private;
	char text[1024];
};

static int up(void **state)
{
	struct town *t = calloc(1, sizeof(*t));
	t->latency = latency_new(10, 1);
	assert_true(net_parse_port(STR("198.51.100.1:25"), 25, &t->own[0]));
	assert_true(net_parse_port(STR("[::]:2525"), 25, &t->own[1]));
	t->router.io = io_new();
	t->router.options = (struct router_options){.latency = t->latency,
		.hostname = STR("mail.example.com"),
		.listening = t->own,
		.listening_count = 2};
	rng_init(&t->router.rng, 1);
	snprintf(t->lookup.ascii, sizeof(t->lookup.ascii), "example.net");
	t->lookup.mx_found = true;
	t->private = (struct route_lookup_private){
		.router = &t->router, .lookup = &t->lookup, .hosts = t->hosts};
	*state = t;
	return 0;
}

static int down(void **state)
{
	struct town *t = *state;
	latency_free(t->latency);
	io_free(t->router.io);
	free(t);
	return 0;
}

/* addresses: split at spaces; none is a host without.  */
static struct host *add(struct town *t, uint16_t preference, const char *addresses)
{
	struct host *h = &t->hosts[t->private.host_count++];
	snprintf(h->name, sizeof(h->name), "mx%u", t->private.host_count);
	h->preference = preference;
	for (struct str rest = str_from_c(addresses), word; rest.len;) {
		str_cut(&rest, ' ', &word);
		assert_true(net_parse_port(word, 25, &h->addresses[h->count++]));
	}
	return h;
}

static const char *choose(struct town *t)
{
	struct route_lookup *l = &t->lookup;
	struct buf out;
	buf_init(&out, sizeof(t->text) - 1);
	route_choose_targets(&t->private);
	assert_true((l->count > 0) != (l->failure.class != OUTCOME_NONE));
	for (uint32_t i = 0; i < l->count; i++) {
		buf_printf(&out, "%s%s=", i ? " " : "", l->targets[i].host);
		net_add(&out, &l->targets[i].address);
	}
	if (l->count == 0) {
		buf_printf(&out, "%s ", outcome_name(l->failure.class));
		enhanced_add(&out, l->failure.enhanced);
	}
	assert_true(buf_ok(&out));
	memcpy(t->text, out.ptr, out.len);
	t->text[out.len] = '\0';
	buf_release(&out);
	free(l->targets);
	l->targets = NULL;
	return t->text;
}

static void test_order(void **state)
{
	struct town *t = *state;
	add(t, 20, "192.0.2.2");
	add(t, 10, "192.0.2.1 2001:db8::1");
	add(t, 30, "192.0.2.1 192.0.2.3");
	assert_string_equal(choose(t), "mx2=2001:db8::1 mx2=192.0.2.1 mx1=192.0.2.2 mx3=192.0.2.3");
}

static void test_at_most_so_many(void **state)
{
	struct town *t = *state;
	for (uint16_t i = 0; i < 4; i++) {
		struct host *h = add(t, i, "");
		for (; h->count < HOST_ADDRESSES_MAX; h->count++) {
			struct net_address a = {
				.family = NET_IPV4, .octets = {192, 0, 2}, .port = 25};
			a.octets[3] = (uint8_t)(16 * i + h->count + 1);
			h->addresses[h->count] = a;
		}
	}
	choose(t);
	assert_int_equal(t->lookup.count, ROUTE_TARGETS_MAX);
}

static void test_ourselves_cut_what_is_behind(void **state)
{
	struct town *t = *state;
	add(t, 10, "192.0.2.1");
	add(t, 20, "192.0.2.9 198.51.100.1"); /* one address of several is enough */
	add(t, 20, "192.0.2.2");
	add(t, 30, "192.0.2.3");
	assert_string_equal(choose(t), "mx1=192.0.2.1");
}

static void test_we_are_the_best(void **state)
{
	struct town *t = *state;
	add(t, 10, "198.51.100.1");
	add(t, 20, "192.0.2.2");
	assert_string_equal(choose(t), "failed 5.4.6");
}

static void test_loopback_goes_alone(void **state)
{
	struct town *t = *state;
	add(t, 10, "127.0.0.1 ::1 ::ffff:127.0.0.2 0.0.0.0 192.0.2.1");
	add(t, 20, "192.0.2.2");
	assert_string_equal(choose(t), "mx1=192.0.2.1 mx2=192.0.2.2");
}

static void test_loopback_alone(void **state)
{
	struct town *t = *state;
	add(t, 10, "127.0.0.1");
	add(t, 20, "");
	assert_string_equal(choose(t), "failed 5.4.6");
}

static void test_allowed(void **state)
{
	struct town *t = *state;
	t->private.allow_loopback = true;
	add(t, 10, "127.0.0.1");
	add(t, 20, "198.51.100.1");
	assert_string_equal(choose(t), "mx1=127.0.0.1 mx2=198.51.100.1");
}

static void test_configured(void **state)
{
	struct town *t = *state;
	t->private.configured = true;
	t->lookup.mx_found = false;
	add(t, 0, "127.0.0.1:26");
	add(t, 1, "127.0.0.1:2525");  /* our listener on any address */
	add(t, 2, "198.51.100.1:25"); /* and on one */
	add(t, 3, "198.51.100.1:26");
	assert_string_equal(choose(t), "mx1=127.0.0.1 mx4=198.51.100.1");
}

static void test_nothing_at_all(void **state)
{
	struct town *t = *state;
	add(t, 10, "");
	assert_string_equal(choose(t), "failed 5.4.4");
	t->lookup.mx_found = false;
	assert_string_equal(choose(t), "failed 5.1.2");
	t->private.configured = true;
	assert_string_equal(choose(t), "deferred 4.4.4");
}

/* An answer that is missing might have been the way; but not behind ourselves.  */
static void test_missing_answers(void **state)
{
	struct town *t = *state;
	add(t, 10, "127.0.0.1");
	add(t, 20, "")->failed = true;
	assert_string_equal(choose(t), "deferred 4.4.3");
	t->hosts[0].addresses[0] = t->own[0];
	t->hosts[0].count = 1;
	assert_string_equal(choose(t), "failed 5.4.6");
}

static void test_by_latency(void **state)
{
	struct town *t = *state;
	struct net_address quick, slow;
	assert_true(net_parse(STR("192.0.2.2"), &quick));
	assert_true(net_parse(STR("192.0.2.1"), &slow));
	latency_note(t->latency, &quick, 10, io_now(t->router.io));
	latency_note(t->latency, &slow, 90, io_now(t->router.io));
	t->private.by_latency = true;
	add(t, 10, "192.0.2.1");
	add(t, 20, "192.0.2.2");
	add(t, 30, "192.0.2.3"); /* not known: it comes first */
	assert_string_equal(choose(t), "mx3=192.0.2.3 mx2=192.0.2.2 mx1=192.0.2.1");
}

int main(void)
{
#define TOWN_TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
	const struct CMUnitTest tests[] = {
		TOWN_TEST(test_order),
		TOWN_TEST(test_at_most_so_many),
		TOWN_TEST(test_ourselves_cut_what_is_behind),
		TOWN_TEST(test_we_are_the_best),
		TOWN_TEST(test_loopback_goes_alone),
		TOWN_TEST(test_loopback_alone),
		TOWN_TEST(test_allowed),
		TOWN_TEST(test_configured),
		TOWN_TEST(test_nothing_at_all),
		TOWN_TEST(test_missing_answers),
		TOWN_TEST(test_by_latency),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
