#include "policy/accounts.h"

#include "base/code.h"
#include "mail/address.h"

#include <stdlib.h>

enum { ARENA_MAX = 1 << 30, ITERATIONS_MAX = 1000000 };

/* ---- one line ---- */

bool account_name_valid(struct str name)
{
	size_t at = str_rfind(name, '@');
	if (at == 0 || at + 1 >= name.len || name.len > 254) return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		if (c <= ' ' || c == 127 || strchr("\"<>()[],;:\\#", c)) return false;
	}
	return str_find(name, '@') == at;
}

static struct str word(struct str *line)
{
	struct str s = str_trim(*line);
	size_t end = 0;
	while (end < s.len && s.ptr[end] != ' ' && s.ptr[end] != '\t') end++;
	*line = str_skip(s, end);
	return str_head(s, end);
}

static bool take_octets(struct str *line, uint8_t *to, size_t len)
{
	struct buf octets;
	buf_init(&octets, 1000);
	bool fine = base64_decode(word(line), &octets) && octets.len == len;
	if (fine) memcpy(to, octets.ptr, len);
	buf_release(&octets);
	return fine;
}

static const char *read_line(struct str line, struct str *ret_name, struct sasl_keys *keys)
{
	*ret_name = word(&line);
	uint64_t iterations;
	if (!account_name_valid(*ret_name))
		return "an account's name is an address such as alice@example.com";
	if (!str_ieq(word(&line), STR("scram-sha-256")))
		return "\"scram-sha-256\" is wanted behind the name";
	if (!str_to_u64(word(&line), ITERATIONS_MAX, &iterations) || iterations == 0)
		return "a number of iterations is wanted";
	keys->iterations = (uint32_t)iterations;
	if (!take_octets(&line, keys->salt, SASL_SALT) ||
		!take_octets(&line, keys->stored, SASL_KEY) ||
		!take_octets(&line, keys->server, SASL_KEY) || word(&line).len)
		return "salt and two keys in base64 are wanted";
	return NULL;
}

bool account_line(struct buf *out, struct str name, const struct sasl_keys *keys)
{
	for (size_t i = 0; i < name.len; i++) buf_add_c(out, ascii_lower(name.ptr[i]));
	buf_printf(out, " scram-sha-256 %u ", keys->iterations);
	base64_add(out, str_of(keys->salt, SASL_SALT));
	buf_add_c(out, ' ');
	base64_add(out, str_of(keys->stored, SASL_KEY));
	buf_add_c(out, ' ');
	base64_add(out, str_of(keys->server, SASL_KEY));
	return buf_add_c(out, '\n');
}

/* ---- all ---- */

static const char *add(struct accounts *a, struct str line)
{
	struct account *account = arena_alloc(&a->arena, sizeof *account);
	char *copy = arena_alloc(&a->arena, line.len);
	if (!account || !copy) return "no memory";
	struct str name;
	const char *fault = read_line(line, &name, &account->keys);
	if (fault) return fault;
	for (size_t i = 0; i < name.len; i++) copy[i] = ascii_lower(name.ptr[i]);
	account->name = str_of(copy, name.len);
	if (map_find(&a->names, account->name)) return "this account is there twice";
	return map_insert(&a->names, &account->node, account->name) ? NULL : "no memory";
}

struct accounts *accounts_read(struct str text, uint64_t seed, struct buf *why)
{
	struct accounts *a = calloc(1, sizeof *a);
	if (!a) return NULL;
	atomic_init(&a->users, 1);
	arena_init(&a->arena, ARENA_MAX);
	map_init(&a->names, seed);
	unsigned number = 0;
	struct str line;
	for (bool more = true; more;) {
		more = str_cut(&text, '\n', &line);
		number++;
		line = str_trim(line);
		const char *fault = line.len && line.ptr[0] != '#' ? add(a, line) : NULL;
		if (!fault) continue;
		buf_printf(why, "line %u: %s", number, fault);
		accounts_release(a);
		return NULL;
	}
	return a;
}

struct accounts *accounts_hold(struct accounts *a)
{
	atomic_fetch_add(&a->users, 1);
	return a;
}

void accounts_release(struct accounts *a)
{
	if (!a || atomic_fetch_sub(&a->users, 1) > 1) return;
	map_release(&a->names);
	arena_release(&a->arena);
	free(a);
}

const struct account *accounts_find(const struct accounts *a, struct str name)
{
	struct map_node *node = map_find(&a->names, name);
	return node ? CONTAINER_OF(node, struct account, node) : NULL;
}

bool accounts_without(struct str text, struct str name, struct buf *out)
{
	bool found = false;
	struct str line;
	for (bool more = true; more;) {
		more = str_cut(&text, '\n', &line);
		struct str rest = line;
		if (str_ieq(word(&rest), name)) {
			found = true;
			continue;
		}
		buf_add(out, line);
		if (more) buf_add_c(out, '\n');
	}
	return found;
}
