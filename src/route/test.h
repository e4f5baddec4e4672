/* What the tests of this folder share: a real name server (Knot) with zones of the test's own.  */
#ifndef ROUTE_TEST_H
#define ROUTE_TEST_H

#include "base/test.h"
#include "io/test.h"

#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct test_zone {
	const char *name;
	const char *records; /* a zone file's lines after the SOA */
	bool is_signed;
};

struct knot {
	char dir[32];
	pid_t pid;
	struct net_address address;
};

static inline bool knot_there(void)
{
	return access("/usr/sbin/knotd", X_OK) == 0 && access("/usr/sbin/keymgr", X_OK) == 0;
}

static inline FILE *knot_file(const struct knot *k, const char *name)
{
	char path[192];
	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

static inline int test_udp_socket(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* A child that runs a program, or function when program is NULL, and dies with the test.  */
static inline pid_t test_child(
	const char *const argv[], const char *output, void (*function)(int fd), int fd)
{
	pid_t parent = getpid(), pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) _exit(1);
	if (function) {
		function(fd);
		_exit(0);
	}
	int out = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(out, 1);
	dup2(out, 2);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

static inline void test_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- a resolver of our own ---- */

static inline bool test_read_all(int fd, void *to, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = read(fd, (char *)to + got, len - got);
		if (n <= 0) return false;
		got += (size_t)n;
	}
	return true;
}

/* A resolver that answers every question with 192.0.2.9 and says, by the AD bit, that it is
 * validated.  It hangs up after each third answer, and says nothing about names that begin with
 * "mute".  */
static inline void test_validating_server(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		unsigned char packet[1500], length[2];
		for (int answers = 0; answers < 3 && test_read_all(fd, length, 2);) {
			size_t len = (size_t)length[0] << 8 | length[1];
			if (len > 500 || !test_read_all(fd, packet + 2, len)) break;
			if (memcmp(packet + 2 + 13, "mute", 4) == 0) continue;
			memcpy(packet + 4, "\x81\xa0\0\1\0\1\0\0\0\0",
				10); /* QR RD RA AD, one question, one answer */
			memcpy(packet + 2 + len, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x09", 16);
			len += 16;
			packet[0] = (unsigned char)(len >> 8), packet[1] = (unsigned char)len;
			if (write(fd, packet, 1) != 1) break; /* in two pieces */
			usleep(1000);
			if (write(fd, packet + 1, len + 1) != (ssize_t)len + 1) break;
			answers++;
		}
		close(fd);
	}
}

static inline int test_listen_tcp(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* ---- Knot ---- */

static inline void knot_write_zone(const struct knot *k, const struct test_zone *z)
{
	char name[128];
	snprintf(name, sizeof(name), "%s.zone", z->name);
	FILE *f = knot_file(k, name);
	fprintf(f,
		"$ORIGIN %s.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n%s",
		z->name, z->records);
	fclose(f);
}

static inline void knot_write_config(
	const struct knot *k, const struct test_zone *zones, size_t count)
{
	FILE *f = knot_file(k, "knot.conf");
	fprintf(f,
		"server:\n    rundir: \"%s\"\n    listen: 127.0.0.1@%u\n    udp-workers: 1\n    tcp-workers: 1\n"
		"    background-workers: 1\n",
		k->dir, k->address.port);
	fprintf(f,
		"database:\n    storage: \"%s\"\n    journal-db-max-size: 8M\n    kasp-db-max-size: 8M\n"
		"    timer-db-max-size: 2M\n",
		k->dir);
	fprintf(f, "log:\n  - target: \"%s/log\"\n    any: info\n", k->dir);
	fprintf(f,
		"policy:\n  - id: sign\n    algorithm: ecdsap256sha256\n    cds-cdnskey-publish: none\n");
	fprintf(f,
		"template:\n  - id: default\n    storage: \"%s\"\n    file: \"%%s.zone\"\n    zonefile-load: whole\n"
		"    zonefile-sync: -1\n    journal-content: none\nzone:\n",
		k->dir);
	for (size_t i = 0; i < count; i++)
		fprintf(f, "  - domain: %s\n%s", zones[i].name,
			zones[i].is_signed ? "    dnssec-signing: on\n    dnssec-policy: sign\n"
					   : "");
	fclose(f);
}

/* Whether the server answers for the zone with NOERROR; asks once.  */
static inline bool knot_serves(const struct knot *k, const char *zone)
{
	unsigned char packet[512] = {0, 1, 0, 0, 0, 1}, *at = packet + 12;
	for (const char *label = zone; *label;) {
		size_t len = strcspn(label, ".");
		*at++ = (unsigned char)len;
		memcpy(at, label, len);
		at += len;
		label += len + (label[len] == '.');
	}
	memcpy(at, "\0\0\6\0\1", 5);
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(k->address.port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	struct timeval wait = {.tv_usec = 100 * 1000};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	bool yes = send(fd, packet, (size_t)(at + 5 - packet), 0) > 0 &&
		recv(fd, packet, sizeof(packet), 0) > 12 && (packet[3] & 15) == 0 && packet[7] > 0;
	close(fd);
	return yes;
}

static inline int knot_remove(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s, (void)type, (void)ftw;
	return remove(path);
}

static inline void knot_stop(struct knot *k)
{
	if (!k->pid) return;
	test_reap(k->pid);
	nftw(k->dir, knot_remove, 8, FTW_DEPTH | FTW_PHYS);
	k->pid = 0;
}

static inline void knot_launch(struct knot *k, const struct test_zone *zones, size_t count)
{
	snprintf(k->dir, sizeof(k->dir), "/tmp/knot-test-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	k->address = (struct net_address){.family = NET_IPV4, .octets = {127, 0, 0, 1}};
	close(test_udp_socket(&k->address.port));
	for (size_t i = 0; i < count; i++) knot_write_zone(k, &zones[i]);
	knot_write_config(k, zones, count);
	char config[64], log[64];
	snprintf(config, sizeof(config), "%s/knot.conf", k->dir);
	snprintf(log, sizeof(log), "%s/log", k->dir);
	k->pid = test_child(
		(const char *const[]){"/usr/sbin/knotd", "-c", config, NULL}, log, NULL, -1);
}

static inline bool knot_serves_all(
	const struct knot *k, const struct test_zone *zones, size_t count)
{
	for (size_t i = 0, tries = 0; i < count; i += knot_serves(k, zones[i].name)) {
		if (++tries > 500) return false;
		usleep(20 * 1000);
	}
	return true;
}

/* Another program may take the port between our look and knotd's.  */
static inline void knot_start(struct knot *k, const struct test_zone *zones, size_t count)
{
	for (int attempt = 0; attempt < 5; attempt++) {
		knot_launch(k, zones, count);
		if (knot_serves_all(k, zones, count)) return;
		knot_stop(k);
	}
	fail_msg("knotd does not serve %s", zones[0].name);
}

/* What keymgr knows as the DS records of a signed zone, into a file of that name; returns its
 * path.  */
static inline const char *knot_write_anchor(
	const struct knot *k, const char *zone, const char *name)
{
	static char path[64];
	char config[64];
	snprintf(config, sizeof(config), "%s/knot.conf", k->dir);
	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	pid_t pid = test_child(
		(const char *const[]){"/usr/sbin/keymgr", "-c", config, zone, "ds", NULL}, path,
		NULL, -1);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return path;
}

#endif
