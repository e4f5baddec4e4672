/* The file of accounts: taken or refused with words; what is taken is found, printed and read as the same.  */
#include "fuzz/fuzz.h"

#include "policy/accounts.h"

static void check_each(struct accounts *all, struct str text)
{
	for (struct map_node *n = map_next(&all->names, NULL); n; n = map_next(&all->names, n)) {
		const struct account *a = CONTAINER_OF(n, struct account, node);
		ASSERT(account_name_valid(a->name) && accounts_find(all, a->name) == a);
		struct buf line, rest, why;
		buf_init(&line, 4096);
		buf_init(&why, 4096);
		buf_init(&rest, text.len + 1);
		ASSERT(account_line(&line, a->name, &a->keys));
		struct accounts *one = accounts_read(buf_str(&line), 2, &why);
		ASSERT(one && accounts_find(one, a->name));
		const struct account *same = accounts_find(one, a->name);
		ASSERT(memcmp(&same->keys, &a->keys, sizeof(a->keys)) == 0);
		accounts_release(one);
		ASSERT(accounts_without(text, a->name, &rest));
		one = accounts_read(buf_str(&rest), 3, &why);
		ASSERT(one && !accounts_find(one, a->name));
		accounts_release(one);
		buf_release(&line);
		buf_release(&rest);
		buf_release(&why);
	}
}

void fuzz_one(struct str in)
{
	struct buf why;
	buf_init(&why, 4096);
	struct accounts *all = accounts_read(in, 1, &why);
	if (all)
		check_each(all, in);
	else
		ASSERT(str_starts(buf_str(&why), STR("line ")));
	accounts_release(all);
	buf_release(&why);
}
