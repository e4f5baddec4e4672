/* The tables by which the configuration is read; inner to server/config*.c and their tests.  */
#ifndef SERVER_CONFIG_SCHEMA_H
#define SERVER_CONFIG_SCHEMA_H

#include "server/config.h"
#include "server/ucl.h"

/* What a setting is, and the type of its field.  */
enum config_type {
	CONFIG_TEXT,   /* struct str */
	CONFIG_PATH,   /* struct str; relative ones are put under state, the empty one stays */
	CONFIG_TIME,   /* msec */
	CONFIG_SIZE,   /* uint64_t */
	CONFIG_COUNT,  /* uint32_t */
	CONFIG_PORT,   /* uint16_t */
	CONFIG_BOOL,   /* bool */
	CONFIG_CHOICE, /* an enum, by choices */
	CONFIG_FLAG,   /* bool, by choices */
	CONFIG_OTHER,  /* read() knows */
	CONFIG_BLOCK,  /* of `keys`, whose offsets count from this field */
};

struct config_choice {
	const char *name; /* the last has none */
	int value;
};

struct config_reader {
	struct io *io;
	struct config *config;
	struct complaints complaints;
	const char *directory; /* of the file; "" */
	struct str hostname;   /* the machine's */
};

struct config_key {
	const char *key;
	enum config_type type;
	size_t offset;
	const char *
		fallback; /* default, as it would stand in the file; NULL: read() or the caller gives it */
	int64_t min, max; /* TIME SIZE COUNT PORT; max 0: no bound */
	const struct config_choice *choices;
	const struct config_key *keys;
	/* OTHER.  value: of the file, or parsed from fallback; NULL without either.  where: see config_read_keys.  */
	void (*read)(struct config_reader *r, const struct ucl_value *value, const char *where,
		void *field);
	const char *help; /* one line */
};

extern const struct config_key config_keys[]; /* of struct config; ends with a row without key */
extern const struct config_key config_route_keys[]; /* of struct route_rule */
extern const struct config_key config_token_keys[]; /* of struct route_token */
extern const struct config_key config_domain_keys[];
extern const struct config_key config_account_keys[]; /* of struct usage_options */
extern const struct config_key config_listen_keys[];
extern const struct config_key config_except_keys[];
extern const struct config_key config_tls_keys[];  /* of struct config */
extern const struct config_key config_acme_keys[]; /* of struct config */
/* What only the whole can tell of them: the certificate is theirs.  */
void config_check_acme(struct config_reader *r, const struct ucl_value *root);

/* Fill the fields of base from block (NULL: defaults), in the table's order.  where: what the block is called in
 * complaints, with its dot: "queue.", "listen mx.", "".  */
void config_read_keys(struct config_reader *r, const struct config_key *keys,
	const struct ucl_value *block, const char *where, void *base);

/* "WHERE.KEY is X; ..." at value's place.  */
void config_wrong(struct config_reader *r, const struct ucl_value *value, const char *where,
	const char *format, ...) PRINTF_LIKE(4, 5);

/* A list of addresses to listen on, "HOST[:PORT]" with "*" for any.  False: none is among them (said).  */
bool config_read_binds(struct config_reader *r, const struct ucl_value *value, const char *where,
	uint16_t port, const struct net_address **ret_binds, uint32_t *ret_count);

/* size zeroed octets of the configuration's arena; NULL: said.  */
void *config_alloc(struct config_reader *r, size_t size);
/* A copy there, lower case where lower; empty when there is no memory (said).  */
struct str config_copy(struct config_reader *r, struct str s, bool lower);
/* A domain, or a dot and a domain, in the form in which names are looked up: A-labels, lower case.  False: it is none.  */
bool config_domain(struct config_reader *r, struct str name, struct str *ret);
/* path, or what it is under state.  */
struct str config_path(struct config_reader *r, struct str path);
/* The server will use path: it stays in its reach.  */
void config_use(struct config_reader *r, struct str path, bool write, struct place place);
/* The parts of a setting that may be one text or a list of them: next after `at` (NULL: first), or NULL.  One that is no
 * text is complained of and left out.  */
const struct ucl_value *config_each_text(struct config_reader *r, const struct ucl_value *value,
	const struct ucl_value *at, const char *where);
uint32_t config_count(const struct ucl_value *value);

/* read() of the settings that need more than a line.  */
void config_read_listeners(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_certificates(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_domains(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_senders(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_routes(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_exceptions(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_ranges(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);

void config_read_token_command(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
void config_read_auth(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
/* What a rule says of logging in has to make sense together; v: its block.  */
void config_check_login(struct config_reader *r, const struct ucl_value *v, const char *where,
	const struct route_rule *rule);

/* A rule with the defaults of `route`; NULL: no memory (said).  */
struct route_rule *config_new_rule(
	struct config_reader *r, const struct ucl_value *block, const char *where);
/* "smtp:HOST:PORT" and its like, of a route's `to` or a domain's `deliver`, into rule.  */
enum { CONFIG_TO_MX = 1, CONFIG_TO_REJECT = 2, CONFIG_TO_MAILDIR = 4 };
void config_read_destination(struct config_reader *r, const struct ucl_value *v, const char *where,
	unsigned allowed, struct route_rule *rule);
/* Into the table; a name that is there already is complained of.  */
void config_add_rule(struct config_reader *r, struct route_rule *rule, struct place place);

#endif
