/* The route table: where mail for a domain goes.  The longest matching name wins: "mail.example.net", then ".example.net"
 * (its subdomains), then "*".  Local domains stand in it too, under their own names.  Immutable once made.  */
#ifndef ROUTE_RULE_H
#define ROUTE_RULE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"

enum route_kind {
	ROUTE_MX,   /* the domain's mail exchangers */
	ROUTE_SMTP, /* these hosts */
	ROUTE_LMTP, /* LMTP to a host, or to a local socket when socket is set */
	ROUTE_MAILDIR,
	ROUTE_DISCARD, /* delivered to nowhere */
	ROUTE_REJECT,  /* returned with these words */
};

enum route_tls {
	ROUTE_TLS_OFF,
	ROUTE_TLS_OPPORTUNISTIC,
	ROUTE_TLS_REQUIRED,
	ROUTE_TLS_VERIFY,
	ROUTE_TLS_DANE
};

struct route_host {
	struct str host; /* name or address, without brackets */
	uint16_t port;
};

struct route_rate {
	uint32_t messages; /* 0: no limit */
	msec per;
};

/* Where OAuth's tokens come from: client credentials (RFC 6749 4.4).  */
struct route_token {
	struct str url; /* empty: not from here */
	struct str client_id;
	struct str client_secret_file;
	struct str scope;
};

struct route_rule {
	struct str name; /* as configured, lower case */
	bool local;      /* made from a `domain` block */
	enum route_kind kind;
	const struct route_host *hosts;
	uint32_t host_count;
	bool implicit_tls;  /* SMTP: TLS from the first octet */
	struct str socket;  /* LMTP over a local socket: its path */
	struct str maildir; /* MAILDIR: path with %{user} and %{domain}, absolute */
	struct str reject;  /* REJECT: the words */
	bool latency;       /* mx = latency */
	uint16_t port;      /* for ROUTE_MX */
	enum route_tls tls;
	uint32_t connections;
	struct route_rate rate;
	struct str user; /* to log in as; empty: nobody.  With one of the next three */
	struct str password_file;
	const char *const
		*token_command; /* a program and its arguments, NULL-terminated; NULL: none */
	struct route_token token;
	struct str auth; /* the mechanism; empty: the best */
	bool allow_loopback;
	msec timeout;         /* 0: RFC 5321 4.5.3.2 */
	struct map_node node; /* the table's */
};

struct route_table {
	struct map names;
};

void route_table_init(struct route_table *t, uint64_t seed);
void route_table_release(struct route_table *t);
/* rule is the caller's and kept as long as the table.  False: its name is in already, or no memory.  */
bool MUST_CHECK route_table_add(struct route_table *t, struct route_rule *rule);
/* Never NULL when "*" was added.  domain: any case, or an address literal (only "*" matches).  */
const struct route_rule *route_find(const struct route_table *t, struct str domain);
/* Whether name can stand in a table: "*", a domain, or "." and a domain.  */
bool route_name_valid(struct str name);

/* Append what tells destinations apart: mail with the same key shares connections, window and backoff.  "example.net" for
 * MX, "smtp:a:25,b:25", "smtps:...", "lmtp:...", "local:example.com", "discard:", "reject:...".  Hosts that a rule names get ";user=U" and ";tls=T"
 * (any but opportunistic) behind: what connections have agreed upon is not for others to share.  */
void route_destination_key(struct buf *out, const struct route_rule *rule, struct str domain);

#endif
