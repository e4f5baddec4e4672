#include "policy/senders.h"

#include "base/test.h"

/* example.com: alice and bob have mailboxes; b.example: so has everyone, and a catch-all would be pointless.  */
struct town {
	struct domains domains;
	struct senders senders;
	struct local_domain example, open;
	struct local_user users[2];
	struct alias aliases[6];
	struct sender_grant grants[2];
};

static void add_alias(
	struct town *t, unsigned i, const char *name, const struct str *targets, uint32_t count)
{
	t->aliases[i] =
		(struct alias){.name = str_from_c(name), .targets = targets, .target_count = count};
	assert_true(map_insert(&t->example.aliases, &t->aliases[i].node, t->aliases[i].name));
}

static void add_grant(
	struct town *t, unsigned i, struct str account, const struct str *to, uint32_t count)
{
	t->grants[i] =
		(struct sender_grant){.account = account, .senders = to, .sender_count = count};
	assert_true(map_insert(&t->senders.grants, &t->grants[i].node, account));
}

static void add_domain(struct town *t, struct local_domain *d, const char *name)
{
	*d = (struct local_domain){.name = str_from_c(name), .separator = STR("+")};
	map_init(&d->users, 1);
	map_init(&d->aliases, 1);
	assert_true(map_insert(&t->domains.names, &d->node, d->name));
}

static int up(void **state)
{
	static const struct str alice = STR("alice@example.com"), team = STR("team@example.com"),
				both[] = {STR("alice@example.com"), STR("bob@example.com")},
				granted[] = {STR("news@lists.example"), STR("@sub.example.com")},
				to_all[] = {STR("office@example.com")};
	struct town *t = calloc(1, sizeof *t);
	map_init(&t->domains.names, 1);
	map_init(&t->senders.grants, 1);
	add_domain(t, &t->example, "example.com");
	add_domain(t, &t->open, "b.example");
	t->open.everyone = true;
	for (int i = 0; i < 2; i++) {
		t->users[i].name = i ? STR("bob") : STR("alice");
		assert_true(map_insert(&t->example.users, &t->users[i].node, t->users[i].name));
	}
	add_alias(t, 0, "postmaster", &alice, 1);
	add_alias(t, 1, "team", both, 2);
	add_alias(t, 2, "web", &team, 1);
	add_alias(t, 3, "alice+work", &both[1], 1); /* this one is Bob's */
	add_grant(t, 0, STR("alice@example.com"), granted, 2);
	add_grant(t, 1, STR("@example.com"), to_all, 1);
	*state = t;
	return 0;
}

static int down(void **state)
{
	struct town *t = *state;
	map_release(&t->example.users);
	map_release(&t->example.aliases);
	map_release(&t->open.users);
	map_release(&t->open.aliases);
	map_release(&t->domains.names);
	map_release(&t->senders.grants);
	free(t);
	return 0;
}

static void check(struct town *t, const char *account, const char *address, bool wanted)
{
	if (sender_allowed(&t->senders, &t->domains, str_from_c(account), str_from_c(address)) !=
		wanted)
		fail_msg("%s as %s", account, address);
}

static void test_own(void **state)
{
	struct town *t = *state;
	check(t, "alice@example.com", "Alice@EXAMPLE.com", true);
	check(t, "alice@example.com", "alice+news@example.com", true);
	check(t, "alice@example.com", "\"alice\"@example.com", true);
	check(t, "alice@example.com", "bob@example.com", false);
	check(t, "alice@example.com", "alice@example.org", false);
	check(t, "alice@example.com", "nobody@example.com", false);
	check(t, "alice@example.com", "alicia@example.com", false);
	check(t, "alice@example.com", "alice", false);
	check(t, "alice@example.com", "", false);
	check(t, "alice@example.com", "<>", false);
	check(t, "dave@far.example", "dave@far.example", true); /* not a domain of ours */
	check(t, "dave@far.example", "dave+x@far.example", false);
	check(t, "c@b.example", "c@b.example", true);
	check(t, "c@b.example", "c+d@b.example", true);
	check(t, "c@b.example", "d@b.example", false);
}

static void test_aliases(void **state)
{
	struct town *t = *state;
	static const struct str bob = STR("bob@example.com");
	check(t, "alice@example.com", "postmaster@example.com", true);
	check(t, "bob@example.com", "postmaster@example.com", false);
	check(t, "alice@example.com", "team@example.com", false); /* Bob's as well */
	check(t, "alice@example.com", "web@example.com", false);
	check(t, "alice@example.com", "alice+work@example.com", false);
	check(t, "bob@example.com", "alice+work@example.com", true);
	check(t, "bob@example.com", "anything@example.com", false);
	add_alias(t, 4, "*", &bob, 1); /* the catch-all is who answers for the rest */
	check(t, "bob@example.com", "anything@example.com", true);
	check(t, "bob@example.com", "alice@example.com", false);
}

static void test_grants(void **state)
{
	struct town *t = *state;
	static const struct str any = STR("*");
	check(t, "alice@example.com", "News@lists.example", true);
	check(t, "alice@example.com", "other@lists.example", false);
	check(t, "alice@example.com", "any@sub.example.com", true);
	check(t, "alice@example.com", "any@evil-sub.example.com", false);
	check(t, "alice@example.com", "any@x.sub.example.com", false);
	check(t, "alice@example.com", "office@example.com", true);
	check(t, "bob@example.com", "office@example.com", true);
	check(t, "bob@example.com", "news@lists.example", false);
	check(t, "c@b.example", "office@example.com", false);
	map_remove(&t->senders.grants, &t->grants[0].node);
	add_grant(t, 0, STR("bob@example.com"), &any, 1);
	check(t, "bob@example.com", "whoever@far.example", true);
	check(t, "alice@example.com", "whoever@far.example", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own, up, down),
		cmocka_unit_test_setup_teardown(test_aliases, up, down),
		cmocka_unit_test_setup_teardown(test_grants, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
