/* Who may log in: a text file, one account a line, "#" begins a comment:
 *
 *	# rockdove accounts 2
 *	alice@example.com scram-sha-256 4096 SALT STOREDKEY SERVERKEY scram-sha-1 4096 SALT STOREDKEY SERVERKEY
 *
 * with salts and keys in base64.  Passwords are not in it.  Format 1, with neither the first line nor the keys of SHA-1, is
 * read too.  A set that was read is immutable.  */
#ifndef POLICY_ACCOUNTS_H
#define POLICY_ACCOUNTS_H

#include "base/arena.h"
#include "base/map.h"
#include "crypto/sasl.h"

#include <stdatomic.h>

struct account {
	struct str name; /* lower case */
	struct sasl_keys keys;
	struct map_node node;
};

/* Counted: a login on another thread may outlive the file's next reading.  */
struct accounts {
	atomic_uint users;
	struct arena arena;
	struct map names; /* of struct account */
};

/* NULL: no memory, or a line that is wrong; which and why is appended to `why`.  The caller's.  */
struct accounts *accounts_read(struct str text, uint64_t seed, struct buf *why);
/* One more user; each gives it back with accounts_release.  May be called from any thread.  */
struct accounts *accounts_hold(struct accounts *a);
void accounts_release(struct accounts *a);
/* Without regard to case; NULL: there is none.  */
const struct account *accounts_find(const struct accounts *a, struct str name);

/* Whether name can be an account's: a full address that needs no quotes.  */
bool account_name_valid(struct str name);
/* Append name's line, name in lower case.  */
bool account_line(struct buf *out, struct str name, const struct sasl_keys *keys);
/* What the first line of a new file says.  */
#define ACCOUNTS_FORMAT "# rockdove accounts 2\n"
/* Append text without name's line (comments stay).  True: there was one.  */
bool accounts_without(struct str text, struct str name, struct buf *out);

#endif
