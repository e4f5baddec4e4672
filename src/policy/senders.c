#include "policy/senders.h"

#include "base/buf.h"

enum { EXPAND_MEMORY = 64 * 1024, MAILBOX_ROOM = 1024 };

static struct str domain_part(struct str address)
{
	size_t at = str_rfind(address, '@');
	return at < address.len ? str_skip(address, at) : STR("");
}

/* ---- grants ---- */

static bool granted(const struct senders *senders, struct str key, struct str address)
{
	struct map_node *node = map_find(&senders->grants, key);
	const struct sender_grant *g = node ? CONTAINER_OF(node, struct sender_grant, node) : NULL;
	for (uint32_t i = 0; g && i < g->sender_count; i++) {
		struct str sender = g->senders[i];
		struct str with = sender.ptr[0] == '@' ? domain_part(address) : address;
		if (str_eq(sender, STR("*")) || str_ieq(sender, with)) return true;
	}
	return false;
}

/* ---- its own ---- */

static bool same_mailbox(
	const struct domains *d, const struct address *a, const struct address *account)
{
	const struct local_domain *domain = domain_find(d, a->domain);
	struct buf mailbox[2];
	if (!domain || domain != domain_find(d, account->domain)) return false;
	buf_init(&mailbox[0], MAILBOX_ROOM);
	buf_init(&mailbox[1], MAILBOX_ROOM);
	bool same = domain_mailbox(domain, a, &mailbox[0]) &&
		address_local_plain(account, &mailbox[1]) &&
		str_ieq(buf_str(&mailbox[0]), buf_str(&mailbox[1]));
	buf_release(&mailbox[0]);
	buf_release(&mailbox[1]);
	return same;
}

/* Mail to the address comes to the account and to nobody else.  */
static bool leads_to(
	const struct domains *d, const struct address *address, const struct address *account)
{
	struct arena arena;
	struct str to[2];
	uint32_t count = 0;
	struct address only;
	arena_init(&arena, EXPAND_MEMORY);
	bool leads = domain_expand(d, address, 2, &arena, to, &count) == EXPAND_DONE &&
		count == 1 && address_parse(to[0], true, false, &only) &&
		(str_ieq(only.text, account->text) || same_mailbox(d, &only, account));
	arena_release(&arena);
	return leads;
}

bool sender_allowed(const struct senders *senders, const struct domains *domains,
	struct str account, struct str address)
{
	struct address sender, own;
	if (str_ieq(account, address)) return true;
	if (granted(senders, account, address) || granted(senders, domain_part(account), address))
		return true;
	return address_parse(address, true, false, &sender) &&
		address_parse(account, true, false, &own) && leads_to(domains, &sender, &own);
}
