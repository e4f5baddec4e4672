/* A server and the town round it: names, next hops, clients, the ledger; all made from one seed.  */
#ifndef SIM_TOWN_H
#define SIM_TOWN_H

#include "server/server.h"
#include "sim/ledger.h"
#include "sim/run.h"
#include "sim/sim_disk.h"
#include "sim/sim_dns.h"

enum { TOWN_HOSTS = 6, TOWN_DOMAINS = 7, TOWN_CLIENTS = 8, TOWN_LETTERS_MAX = 400, TOWN_RATE = 3 };

/* What a next hop is like, until the town calms down.  */
enum temper {
	TEMPER_GOOD,
	TEMPER_SLOW,
	TEMPER_GREY,
	TEMPER_SOFT,
	TEMPER_HARD,
	TEMPER_CLOSES,
	TEMPER_SILENT,
	TEMPER_ENDLESS,
	TEMPER_BUSY,
	TEMPER_RUDE,
	TEMPER_DOWN,
	TEMPERS
};

struct town;

struct host {
	struct io_listener listener;
	struct town *town;
	uint32_t number;
	enum temper temper;
	double mood; /* of the commands fall victim to the temper */
	bool eight, pipelining, chunking, dsn;
	/* What becomes of STARTTLS: somebody on the way, or the host, has it fail.  */
	enum host_tls { TLS_NOT_OFFERED, TLS_REFUSED, TLS_GARBAGE, HOST_TLS } tls;
	enum host_fate fate; /* of who connects */
	uint32_t domains;    /* how many have it as exchanger */
	uint32_t visits;     /* open now */
	uint64_t all_visits, messages;
};

struct town {
	struct world world;
	struct net net;
	struct dns dns;
	struct disk disk;
	struct io outside; /* the machine of everybody else */
	struct io machine; /* the server's */
	struct log log;
	struct ledger ledger;
	struct sim_options options;
	struct rng load;   /* what clients do */
	struct rng faults; /* what befalls everybody */
	struct host hosts[TOWN_HOSTS];
	uint32_t host_count;
	struct host senders; /* where reports go */
	char domains[TOWN_DOMAINS][32];
	uint32_t domain_count;
	struct list visits; /* at next hops */
	struct list clients;
	uint64_t unrest;     /* how often the server is in trouble */
	uint64_t letters;    /* to be sent in all */
	double odd;          /* of the letters smuggle */
	double rude_clients; /* of the clients are not good */
	bool calm;           /* no trouble any more */
	bool secret;         /* mail for the first domain must not go in clear */
	bool rated;          /* at most TOWN_RATE transactions a minute are for the second */
	int64_t rated_us[TOWN_RATE * 2 + 2]; /* when the last of these came, the newest first */
	uint32_t connections;                /* to one destination at once */
	uint32_t segment_size;
	msec lifetime, length; /* of mail; of the time of troubles */
	char config[2000];

	struct server *server;
	struct sim_event trouble; /* the next that befalls the server */
	struct sim_event mood;    /* the next change of hosts, names, network */
	struct sim_event arrival; /* the next client */
	struct sim_event check;
	int64_t began_us;       /* the life of the server */
	struct sim_event until; /* the end of a phase */
	bool killed;            /* the process, not the machine */
	uint64_t refused_replies, accepted_replies, lives;
};

/* hosts.c */
void hosts_open(struct town *t);
void hosts_close(struct town *t);
/* clients.c */
void client_begin(struct town *t);
void clients_close(struct town *t);
uint32_t clients_open(const struct town *t);
/* town.c */
void town_make(struct town *t, const struct sim_options *options);
void town_change(struct town *t); /* something in the world changes */
void town_calm(struct town *t);   /* everything is as good as it can be */
void town_release(struct town *t);

#endif
