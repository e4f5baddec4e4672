/* The configuration, read whole from one UCL file and immutable afterwards; SIGHUP makes another.  */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/log.h"
#include "inbound/listener.h"
#include "policy/access.h"
#include "policy/senders.h"
#include "policy/usage.h"
#include "queue/queue.h"
#include "route/exception.h"
#include "route/resolver.h"
#include "route/rule.h"
#include "server/place.h"

/* A path that the configuration names, or that a part of it came from.  */
struct config_use {
	struct str path;    /* absolute, NUL-terminated */
	bool write;         /* a directory in which things are made; else a file to be read */
	struct place place; /* that names it */
	const struct config_use *next;
};

/* A certificate for the names in it.  */
struct config_certificate {
	struct str name; /* of the block */
	struct str chain, key;
	const char *file; /* where the block stands; NULL: nowhere */
	uint32_t line;
};
/* How an ACME authority is shown that a name is ours (RFC 8555 8.3, RFC 8737).  */
enum acme_method { ACME_HTTP, ACME_TLS_ALPN };

struct config {
	struct arena arena; /* owns every string and array below */
	struct str file;    /* where it was read from; empty: the defaults */

	struct str hostname;
	struct str state;   /* directory, absolute, NUL-terminated; so are all paths here */
	struct str control; /* path of the control socket */
	struct str user;    /* to run as, NUL-terminated; empty: rockdove, if there is one */
	bool sandbox;
	const struct config_use *uses;

	const struct listener_options *listeners;
	uint32_t listener_count;

	struct str tls_certificate, tls_key; /* shown to whoever asks for no other by name */
	const char *tls_file;                /* where it is said; NULL: nowhere */
	uint32_t tls_line;
	const struct config_certificate *certificates; /* the others */
	uint32_t certificate_count;
	msec tls_watch;
	struct access_list relay_from;

	struct domains domains;
	struct senders senders;
	struct usage_options account;
	struct route_table routes; /* with the local domains in it */

	struct tls_exceptions tls_exceptions;

	struct queue_options queue;

	struct {
		uint64_t message; /* octets */
		uint32_t recipients;
		uint32_t connections, connections_per_client;
		uint32_t errors;
		msec timeout;
		msec hold;
		uint32_t login_failures;
		msec login_pause;
		uint64_t memory, disk_free;
	} limits;

	struct {
		const struct net_address *servers;
		uint32_t server_count;
		struct str trust_anchor;
		enum dns_validate validate;
	} dns;

	struct {
		bool enable;
		uint16_t port;
	} mta_sts;
	struct {
		struct str from; /* empty: no reports */
		struct str contact, organization;
		msec period;
	} tls_report;

	struct {
		msec keep;
		uint64_t size;
	} history;
	struct {
		bool agree; /* else nothing is asked for */
		struct str directory, email, ca_file;
		const struct str *names;
		uint32_t name_count;
		enum acme_method method;
		const struct net_address *binds;
		uint32_t bind_count;
	} acme;
	struct {
		struct str bind, token_file;
	} http;
	struct {
		enum log_format format;
		enum log_level level;
	} log;
};

/* Read file (empty: the defaults of INTERFACE alone).  hostname: this machine's, for the default.  Every mistake is appended to
 * complaints as a line "FILE:LINE: what is wrong, and what would be right"; NULL when there was any.  */
struct config *config_read(
	struct io *io, struct str file, struct str hostname, struct buf *complaints);
void config_free(struct config *c);

/* In place of the `listen` blocks: "HOST[:PORT]" as given to `serve`; names are resolved.  False, and a complaint.  */
bool config_listen(
	struct config *c, struct str const *binds, uint32_t count, struct buf *complaints);

#endif
