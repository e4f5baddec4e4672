#include "queue/queue.h"

#include "mail/address.h"

static bool has_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '=' || ascii_digit(s.ptr[i])) return true;
	}
	return false;
}

/* "list+token", "list-return-42-bob=example.com", "bounce17": what follows a '+', or a '-'
 * with a digit or a '=' anywhere behind it, and all digits, tell mails of one sender apart.  */
uint32_t queue_tag(struct str reverse_path)
{
	char key[ADDRESS_PATH_MAX + 2];
	size_t len = 0;
	struct str local = str_head(reverse_path, str_rfind(reverse_path, '@'));
	for (size_t i = 0; i < local.len && len < sizeof(key); i++) {
		struct str behind = str_skip(local, i + 1);
		if (local.ptr[i] == '+' && i > 0) break;
		if (local.ptr[i] == '-' && i > 0 && has_token(behind)) break;
		if (!ascii_digit(local.ptr[i])) key[len++] = ascii_lower(local.ptr[i]);
	}
	uint64_t hash = str_ihash(str_skip(reverse_path, local.len), str_hash(str_of(key, len), 0));
	return (uint32_t)(hash ^ hash >> 32);
}
