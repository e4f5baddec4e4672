/* What TLS has to be on a connection to one host: decided here, and nowhere else.  Pure.
 *
 * The route's rule gives the least that will do.  What the domain itself publishes can only raise it: DANE's records first
 * (RFC 7672), then its MTA-STS policy (RFC 8461 2: never in place of DANE).  An exception of the operator's lowers it.  */
#ifndef ROUTE_SECURITY_H
#define ROUTE_SECURITY_H

#include "crypto/tls.h"
#include "route/exception.h"
#include "route/rule.h"

enum security_level {
	SECURITY_CLEAR, /* no TLS */
	SECURITY_MAY,   /* TLS where it is offered and works, else clear */
	SECURITY_TLS,   /* TLS, with whomever */
	SECURITY_NAME,  /* a trusted authority vouches for one of the names */
	SECURITY_DANE,  /* the TLSA records do */
};

/* Who has asked for it; for words and reports.  */
enum security_source { SECURITY_BY_RULE, SECURITY_BY_DANE, SECURITY_BY_STS };

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

/* A domain's MTA-STS policy, as far as a connection needs it; STS_NONE: it has none, or it is not known.  */
struct sts_policy {
	enum sts_mode mode;
	const struct str *mx; /* patterns: "mx.example.net", "*.example.net" */
	uint32_t mx_count;
};

enum tlsa_state {
	TLSA_NONE,   /* no records, or DNS is not secure there: DANE is not to be had */
	TLSA_FOUND,  /* securely */
	TLSA_FAILED, /* no answer, or a forged one, where a secure one is due */
};

/* What is known of a host.  */
struct security_facts {
	enum route_tls rule;
	bool local;                            /* a socket, or LMTP: rule alone counts */
	bool configured;                       /* the host stands in the rule */
	const struct tls_exception *exception; /* for the domain, in force; or NULL */
	bool login;                            /* we log in there */
	bool implicit;                         /* TLS from the first octet */
	bool mx_secure;                        /* by DNSSEC, the domain does have this host */
	struct str domain;                     /* of the recipients; what names the hosts */
	struct str host;                       /* the exchanger, or the configured host */
	enum tlsa_state tlsa_state;
	struct str tlsa_base; /* the name that has the records */
	const struct tls_tlsa *tlsa;
	uint32_t tlsa_count;
	const struct sts_policy *sts; /* the domain's; NULL: STS_NONE */
};

enum { SECURITY_NAMES_MAX = 3, SECURITY_WORDS_MAX = 120 };

/* The decision.  Names and records are borrowed from the facts.  */
struct security {
	enum security_level level;
	enum security_source source;
	bool barred;     /* mail must not go to this host now; words say why */
	bool host_known; /* that this host serves the domain is not only DNS's word: REQUIRETLS wants that (RFC 8689 4.2.1) */
	bool excepted;
	enum sts_mode sts; /* of the policy that was looked at: none where DANE stands */
	bool sts_stranger; /* the MTA-STS policy does not name this host; in testing mode it is to be reported only */
	struct str names
		[SECURITY_NAMES_MAX]; /* any one in the certificate will do; the first is asked for (SNI) */
	uint32_t name_count;
	const struct tls_tlsa *tlsa; /* DANE: as they were found, the unusable among them */
	uint32_t tlsa_count;
	char words[SECURITY_WORDS_MAX]; /* "dane: 2 TLSA records", "sts enforce" */
};

/* Source: RFC 7672 2.1, 2.2, 3.1, 3.2; RFC 8461 4, 5; RFC 8689 4.2.1.  */
void security_decide(const struct security_facts *facts, struct security *ret);

/* "clear", "opportunistic", "any TLS", "verified", "dane".  */
const char *security_level_name(enum security_level level);

/* Whether one of the policy's patterns is host.  A "*" stands for the whole leftmost label.  Source: RFC 8461 4.1.  */
bool sts_policy_names(const struct sts_policy *policy, struct str host);

#endif
