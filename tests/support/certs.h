/* Certificates for tests, made when they are needed: keys on P-256, PEM files in a
 * temporary folder. All functions are for the main stack or for a task of some 64 KiB. */
#ifndef AN_TESTS_SUPPORT_CERTS_H
#define AN_TESTS_SUPPORT_CERTS_H

typedef struct test_certs {
	char dir[64];
	char ca[96];	   /* the root that vouches for all but `stranger` */
	char other_ca[96]; /* a root that vouches for nobody */
	char impostor[96]; /* a root of the name of `ca` with another key */
	char server[96]; /* "localhost", "*.wild.test", 127.0.0.1 and ::1; with its key */
	char expired[96];  /* the same, expired a day ago */
	char stranger[96]; /* the same, vouched for by nobody: self-signed */
	char client[96];   /* a client's, "test client" */
} test_certs;

/* Every file but the roots holds the certificate and its key. Returns 0, or -1 with a
 * message on stderr. */
int test_certs_make(test_certs *c);

/* Removes the files and the folder. */
void test_certs_remove(const test_certs *c);

#endif
