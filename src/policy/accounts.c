#include "policy/accounts.h"

#include "base/code.h"
#include "mail/address.h"

#include <stdlib.h>

enum { FORMAT = 2, ARENA_MAX = 1 << 30, ITERATIONS_MAX = 1000000 };

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

static const char *read_proof(struct str *line, enum sasl_hash hash, struct sasl_proof *proof)
{
	uint64_t iterations;
	size_t len = sasl_key_len(hash);
	if (!str_to_u64(word(line), ITERATIONS_MAX, &iterations) || iterations == 0)
		return "a number of iterations is wanted";
	proof->iterations = (uint32_t)iterations;
	if (!take_octets(line, proof->salt, SASL_SALT) || !take_octets(line, proof->stored, len) ||
		!take_octets(line, proof->server, len))
		return "salt and two keys in base64 are wanted";
	return NULL;
}

static const char *read_line(struct str line, struct str *ret_name, struct sasl_keys *keys)
{
	*keys = (struct sasl_keys){0};
	*ret_name = word(&line);
	if (!account_name_valid(*ret_name))
		return "an account's name is an address such as alice@example.com";
	if (!str_ieq(word(&line), sasl_hash_name(SASL_SHA256)))
		return "\"scram-sha-256\" is wanted behind the name";
	const char *fault = read_proof(&line, SASL_SHA256, &keys->of[SASL_SHA256]);
	struct str next = word(&line);
	if (fault || next.len == 0) return fault;
	if (!str_ieq(next, sasl_hash_name(SASL_SHA1)))
		return "\"scram-sha-1\", or nothing, is wanted behind the first keys";
	fault = read_proof(&line, SASL_SHA1, &keys->of[SASL_SHA1]);
	if (!fault && word(&line).len) fault = "nothing is wanted behind the keys of SHA-1";
	return fault;
}

static void add_proof(struct buf *out, enum sasl_hash hash, const struct sasl_proof *proof)
{
	size_t len = sasl_key_len(hash);
	buf_printf(out, " " STR_FMT " %u ", STR_ARG(sasl_hash_name(hash)), proof->iterations);
	base64_add(out, str_of(proof->salt, SASL_SALT));
	buf_add_c(out, ' ');
	base64_add(out, str_of(proof->stored, len));
	buf_add_c(out, ' ');
	base64_add(out, str_of(proof->server, len));
}

bool account_line(struct buf *out, struct str name, const struct sasl_keys *keys)
{
	for (size_t i = 0; i < name.len; i++) buf_add_c(out, ascii_lower(name.ptr[i]));
	for (enum sasl_hash h = 0; h < SASL_HASHES; h++)
		if (keys->of[h].iterations) add_proof(out, h, &keys->of[h]);
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

/* A file that says of itself to be newer than this program.  */
static bool too_new(struct str first)
{
	static const struct str lead = STR("# rockdove accounts ");
	uint64_t format;
	if (!str_starts(first, lead)) return false;
	return !str_to_u64(str_trim(str_skip(first, lead.len)), UINT32_MAX, &format) ||
		format > FORMAT;
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
		if (number == 1 && too_new(line)) fault = "a newer rockdove made this file";
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
