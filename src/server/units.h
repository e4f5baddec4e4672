/* Numbers with units, host:port and the nearest of some words, as the configuration and the command line write them.  */
#ifndef SERVER_UNITS_H
#define SERVER_UNITS_H

#include "base/buf.h"
#include "base/clock.h"

/* "350ms" "5s" "5m" "2h" "5d", "1h30m", "0.5s"; a number alone is seconds.  Whole milliseconds.  False: not one, or past
 * what fits.  */
bool units_time(struct str s, msec *ret);
/* "4096" "10k" "50M" "1G" "1T", each 1024 of the one before, either case.  */
bool units_size(struct str s, uint64_t *ret);
/* "0", "100/m", "5/10s": so many per time.  */
bool units_rate(struct str s, uint32_t *ret_count, msec *ret_per);

/* "HOST", "HOST:PORT", "[V6]", "[V6]:PORT", "V6": host without brackets.  False: no host, or a wrong port.  */
bool units_host_port(struct str s, uint16_t port_default, struct str *ret_host, uint16_t *ret_port);

/* How many letters to insert, drop, change or swap with their neighbour make b of a; case counts not.  At most 64 octets
 * are looked at.  */
unsigned units_distance(struct str a, struct str b);
/* Whether `distance` is near enough to ask "did you mean": a third of the word, at least 1.  */
bool units_near(struct str word, unsigned distance);

#endif
