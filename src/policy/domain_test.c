#include "policy/domain.h"

#include "base/test.h"

/* A table of domains as the configuration would make it, and what was complained about.  */
struct town {
	struct domains domains;
	struct arena arena;
	struct buf said;
};

static int town_up(void **state)
{
	struct town *t = calloc(1, sizeof(*t));
	map_init(&t->domains.names, 1);
	arena_init(&t->arena, 16 << 20);
	buf_init(&t->said, 65536);
	*state = t;
	return 0;
}

static int town_down(void **state)
{
	struct town *t = *state;
	for (struct map_node *n = map_next(&t->domains.names, NULL); n;
		n = map_next(&t->domains.names, n)) {
		struct local_domain *d = CONTAINER_OF(n, struct local_domain, node);
		map_release(&d->users);
		map_release(&d->aliases);
	}
	map_release(&t->domains.names);
	arena_release(&t->arena);
	buf_release(&t->said);
	free(t);
	return 0;
}

static struct local_domain *add_domain(struct town *t, const char *name)
{
	struct local_domain *d = arena_alloc(&t->arena, sizeof(*d));
	d->name = str_from_c(name);
	d->separator = STR("+");
	map_init(&d->users, 1);
	map_init(&d->aliases, 1);
	assert_true(map_insert(&t->domains.names, &d->node, d->name));
	return d;
}

static void add_user(struct town *t, struct local_domain *d, const char *name)
{
	struct local_user *u = arena_alloc(&t->arena, sizeof(*u));
	u->name = str_from_c(name);
	assert_true(map_insert(&d->users, &u->node, u->name));
}

/* targets: split at spaces.  */
static void add_alias(struct town *t, struct local_domain *d, struct str name, struct str targets)
{
	struct alias *a = arena_alloc(&t->arena, sizeof(*a));
	struct str *list = arena_alloc(&t->arena, (targets.len / 2 + 1) * sizeof(*list));
	assert_true(arena_copy(&t->arena, name, &a->name));
	assert_true(arena_copy(&t->arena, targets, &targets));
	a->targets = list;
	while (targets.len) {
		str_cut(&targets, ' ', &list[a->target_count]);
		a->target_count++;
	}
	assert_true(map_insert(&d->aliases, &a->node, a->name));
}

/* "a@x b@y", or a word for what else came of it.  */
static const char *expand_max(struct town *t, const char *address, uint32_t max)
{
	static char text[4096];
	struct address a;
	struct str found[64];
	uint32_t count = 0;
	assert_true(address_parse(str_from_c(address), true, false, &a));
	assert_true(max <= ARRAY_LEN(found));
	switch (domain_expand(&t->domains, &a, max, &t->arena, found, &count)) {
	case EXPAND_FOREIGN: return "foreign";
	case EXPAND_UNKNOWN: return "unknown";
	case EXPAND_TOO_MANY: return "too many";
	case EXPAND_NO_MEMORY: return "no memory";
	case EXPAND_DONE: break;
	}
	struct buf out;
	buf_init(&out, sizeof(text) - 1);
	for (uint32_t i = 0; i < count; i++) {
		if (i) buf_add_c(&out, ' ');
		buf_add(&out, found[i]);
	}
	assert_true(buf_ok(&out));
	if (out.len) memcpy(text, out.ptr, out.len);
	text[out.len] = '\0';
	buf_release(&out);
	return text;
}

#define assert_expands(t, address, wanted) assert_string_equal(expand_max(t, address, 64), wanted)

static void test_users(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	assert_ptr_equal(domain_find(&t->domains, STR("EXAMPLE.com")), d);
	assert_null(domain_find(&t->domains, STR("mail.example.com")));
	assert_expands(t, "alice@example.com", "alice@example.com");
	assert_expands(t, "Alice@Example.COM", "Alice@Example.COM");
	assert_expands(t, "\"alice\"@example.com", "\"alice\"@example.com");
	assert_expands(t, "\"al\\ice\"@example.com", "\"al\\ice\"@example.com");
	assert_expands(t, "alice+list@example.com", "alice+list@example.com");
	assert_expands(t, "alic@example.com", "unknown");
	assert_expands(t, "alice-x@example.com", "unknown");
	assert_expands(t, "+alice@example.com", "unknown");
	assert_expands(t, "alice@example.net", "foreign");
	assert_expands(t, "alice@[192.0.2.1]", "foreign");
	d->separator = STR_NONE;
	assert_expands(t, "alice+list@example.com", "unknown");
	d->separator = STR("-");
	assert_expands(t, "alice-x@example.com", "alice-x@example.com");
}

static void test_postmaster_is_always_there(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	assert_expands(t, "postmaster@example.com", "postmaster@example.com");
	assert_expands(t, "PostMaster@example.com", "PostMaster@example.com");
	add_alias(t, d, STR("*"), STR("alice@example.com"));
	assert_expands(t, "postmaster@example.com", "alice@example.com");
	add_alias(t, d, STR("postmaster"), STR("root@example.org"));
	assert_expands(t, "postmaster@example.com", "root@example.org");
}

static void test_everyone(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	d->everyone = true;
	add_alias(t, d, STR("sales"), STR("bob@example.com"));
	add_alias(t, d, STR("*"), STR("nobody@example.org"));
	assert_expands(t, "anyone.at+all@example.com", "anyone.at+all@example.com");
	assert_expands(t, "sales@example.com", "bob@example.com");
	assert_expands(t, "sales+x@example.com", "bob@example.com");
}

static bool account_of_carol(void *context, struct str local, struct str domain)
{
	(void)context;
	return str_ieq(local, STR("carol")) && str_ieq(domain, STR("example.com"));
}

static void test_accounts(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	struct local_domain *other = add_domain(t, "example.org");
	d->accounts = other->accounts = true;
	assert_expands(t, "carol@example.com", "unknown");
	t->domains.account = account_of_carol;
	assert_expands(t, "carol@example.com", "carol@example.com");
	assert_expands(t, "Carol+x@example.com", "Carol+x@example.com");
	assert_expands(t, "carol@example.org", "unknown");
	d->accounts = false;
	assert_expands(t, "carol@example.com", "unknown");
}

static void test_aliases(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	add_user(t, d, "bob");
	add_user(t, d, "bob+private");
	add_alias(t, d, STR("sales"), STR("alice@example.com bob@example.com carol@example.org"));
	add_alias(t, d, STR("all"),
		STR("sales@example.com bob@example.com Carol@Example.org dave@example.org"));
	add_alias(t, d, STR("bob+junk"), STR("alice@example.com"));
	assert_expands(
		t, "Sales@example.com", "alice@example.com bob@example.com carol@example.org");
	assert_expands(t, "sales+spring@example.com",
		"alice@example.com bob@example.com carol@example.org");
	/* Each once, in the order of the first mention.  */
	assert_expands(t, "all@example.com",
		"alice@example.com bob@example.com carol@example.org dave@example.org");
	/* The whole name first.  */
	assert_expands(t, "bob+junk@example.com", "alice@example.com");
	assert_expands(t, "bob+private@example.com", "bob+private@example.com");
}

static void test_alias_beside_a_mailbox(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	add_user(t, d, "bob");
	add_alias(t, d, STR("alice"), STR("alice@example.com alice@example.org"));
	assert_expands(t, "alice@example.com", "alice@example.com alice@example.org");
	assert_expands(t, "alice+x@example.com", "alice@example.com alice@example.org");
	/* bob's mail goes to alice alone, also when he is named twice.  */
	add_alias(t, d, STR("bob"), STR("alice@example.com"));
	add_alias(t, d, STR("both"), STR("bob@example.com bob@example.com"));
	assert_expands(t, "both@example.com", "alice@example.com alice@example.org");
	assert_int_equal(domains_check(&t->domains, NULL, NULL), 0);
}

static void test_catch_all(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	add_alias(t, d, STR("*"), STR("alice@example.com"));
	add_alias(t, d, STR("info"), STR("info@example.org"));
	assert_expands(t, "whoever@example.com", "alice@example.com");
	assert_expands(t, "alice@example.com", "alice@example.com");
	assert_expands(t, "info@example.com", "info@example.org");
}

static void test_loops_end(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	add_alias(t, d, STR("a"), STR("b@example.com"));
	add_alias(t, d, STR("b"), STR("c@example.com"));
	add_alias(t, d, STR("c"), STR("a@example.com"));
	add_alias(t, d, STR("d"), STR("a@example.com alice@example.com"));
	assert_expands(t, "a@example.com", "unknown");
	assert_expands(t, "d@example.com", "alice@example.com");
	for (int i = 0; i < 1000; i++) {
		char from[16], to[32];
		snprintf(from, sizeof(from), "n%d", i);
		snprintf(to, sizeof(to), "n%d@example.com", i + 1);
		add_alias(t, d, str_from_c(from), str_from_c(to));
	}
	add_user(t, d, "n1000");
	assert_expands(t, "n980@example.com", "n1000@example.com");
	assert_expands(t, "n0@example.com", "unknown");
}

static void test_a_missing_target_is_kept(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	add_alias(t, d, STR("team"), STR("alice@example.com gone@example.com"));
	add_alias(t, d, STR("void"), STR("gone@example.com"));
	add_alias(t, d, STR("empty"), STR(""));
	assert_expands(t, "team@example.com", "alice@example.com gone@example.com");
	assert_expands(t, "void@example.com", "unknown");
	assert_expands(t, "empty@example.com", "unknown");
}

static void test_limits(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_alias(t, d, STR("three"), STR("a@example.org b@example.org c@example.org"));
	assert_string_equal(
		expand_max(t, "three@example.com", 3), "a@example.org b@example.org c@example.org");
	assert_string_equal(expand_max(t, "three@example.com", 2), "too many");
	struct arena none;
	struct address a;
	struct str found[4];
	uint32_t count;
	arena_init(&none, 0);
	assert_true(address_parse(STR("three@example.com"), false, false, &a));
	assert_int_equal(domain_expand(&t->domains, &a, 4, &none, found, &count), EXPAND_NO_MEMORY);
}

static const char *mailbox(struct local_domain *d, const char *address)
{
	static char text[256];
	struct address a;
	struct buf out;
	buf_init(&out, sizeof(text) - 1);
	assert_true(address_parse(str_from_c(address), true, false, &a));
	buf_add(&out, STR(">"));
	assert_true(domain_mailbox(d, &a, &out));
	memcpy(text, out.ptr, out.len);
	text[out.len] = '\0';
	buf_release(&out);
	return text;
}

static void test_mailbox(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com");
	add_user(t, d, "alice");
	add_user(t, d, "alice+vip");
	assert_string_equal(mailbox(d, "Alice@example.com"), ">alice");
	assert_string_equal(mailbox(d, "ALICE+News+2@example.com"), ">alice");
	assert_string_equal(mailbox(d, "alice+VIP@example.com"), ">alice+vip");
	assert_string_equal(mailbox(d, "\"A b\\\"c\"@example.com"), ">a b\"c");
	assert_string_equal(mailbox(d, "\"../x\"@example.com"), ">../x");
	assert_string_equal(mailbox(d, "+x@example.com"), ">+x");
	d->separator = STR_NONE;
	assert_string_equal(mailbox(d, "alice+news@example.com"), ">alice+news");
}

static void hear(void *context, struct str domain, struct str alias, struct str why)
{
	struct town *t = context;
	buf_printf(&t->said, "[" STR_FMT "@" STR_FMT ": " STR_FMT "]", STR_ARG(alias),
		STR_ARG(domain), STR_ARG(why));
}

static bool said(struct town *t, const char *line)
{
	return str_contains(buf_str(&t->said), str_from_c(line));
}

static void test_check(void **state)
{
	struct town *t = *state;
	struct local_domain *d = add_domain(t, "example.com"), *e = add_domain(t, "example.net");
	add_user(t, d, "alice");
	add_alias(t, d, STR("postmaster"), STR("alice@example.com root@example.org"));
	add_alias(t, d, STR("sales"), STR("postmaster@example.com alice+sales@example.com"));
	assert_int_equal(domains_check(&t->domains, hear, t), 0);

	add_alias(t, d, STR("x"), STR("gone@example.com"));
	add_alias(t, d, STR("y"), STR("not-an-address"));
	add_alias(t, d, STR("a"), STR("b@example.net"));
	add_alias(t, e, STR("b"), STR("alice@example.com a@example.com"));
	add_alias(t, d, STR("self"), STR("self@example.com"));
	add_alias(t, d, STR("into-the-loop"), STR("a@example.com"));
	add_alias(t, e, STR("*"), STR("gone@example.net"));
	assert_int_equal(domains_check(&t->domains, hear, t), 6);
	assert_true(said(t, "[x@example.com: gone@example.com does not exist]"));
	assert_true(said(t, "[y@example.com: not-an-address is not an address]"));
	assert_true(said(t, "[a@example.com: a leads back to itself]"));
	assert_true(said(t, "[b@example.net: b leads back to itself]"));
	assert_true(said(t, "[self@example.com: self leads back to itself]"));
	assert_true(said(t, "[*@example.net: gone@example.net does not exist]"));
}

static void test_the_first_is_the_first_in_the_alphabet(void **state)
{
	struct town *t = *state;
	assert_null(domains_first(&t->domains));
	for (const char *const *name =
			(const char *const[]){"c.test", "bb.test", "b", "b.test", NULL};
		*name; name++)
		add_domain(t, *name);
	assert_true(str_eq(domains_first(&t->domains)->name, STR("b")));
}

int main(void)
{
#define TOWN_TEST(f) cmocka_unit_test_setup_teardown(f, town_up, town_down)
	const struct CMUnitTest tests[] = {
		TOWN_TEST(test_users),
		TOWN_TEST(test_postmaster_is_always_there),
		TOWN_TEST(test_everyone),
		TOWN_TEST(test_accounts),
		TOWN_TEST(test_aliases),
		TOWN_TEST(test_alias_beside_a_mailbox),
		TOWN_TEST(test_catch_all),
		TOWN_TEST(test_loops_end),
		TOWN_TEST(test_a_missing_target_is_kept),
		TOWN_TEST(test_limits),
		TOWN_TEST(test_mailbox),
		TOWN_TEST(test_check),
		TOWN_TEST(test_the_first_is_the_first_in_the_alphabet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
