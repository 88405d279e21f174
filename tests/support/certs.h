/* Certificates for tests, made when they are needed: keys on P-256 unless it is said, PEM
 * files in a temporary folder. All functions are for the main stack or for a task of some
 * 64 KiB. */
#ifndef AN_TESTS_SUPPORT_CERTS_H
#define AN_TESTS_SUPPORT_CERTS_H

typedef struct test_certs {
	char dir[64];
	/* roots */
	char ca[96];	   /* vouches for all but `stranger` */
	char other_ca[96]; /* vouches for nobody */
	char impostor[96]; /* of the name of `ca` with another key */
	/* servers of "localhost", "*.wild.test", 127.0.0.1 and ::1, unless it is said */
	char server[96];
	char renewed[96];     /* the same with a new key, "renewed server" */
	char expired[96];     /* a day ago */
	char not_yet[96];     /* valid from tomorrow on */
	char stranger[96];    /* vouched for by nobody: self-signed */
	char revoked[96];     /* in `crl` */
	char for_clients[96]; /* by its extended key usage */
	char common_name
		[96];	     /* "localhost" is its common name, and stands nowhere else */
	char two_names[96];  /* "a.example", "b.example" */
	char many_names[96]; /* "n0.example" to "n9.example" */
	char wildcard[96];   /* "*.any.example" */
	char ed25519[96];    /* "ed.example", with a key of that kind */
	char chained[96];    /* issued by an intermediate, which comes with it */
	char orphan[96];     /* the same without the intermediate */
	/* clients */
	char client[96]; /* "test client", "client.test", alice@client.test and a URI */
	char odd[96];	 /* names with a line feed, a comma, and of two scripts */
	char for_servers[96]; /* by its extended key usage */
	/* revocation lists */
	char crl[96];	  /* `ca`'s and the intermediate's */
	char old_crl[96]; /* the same as of long ago */
	/* Of the keys of `server`, `ca` and `other_ca`, in base64. */
	char server_pin[48], ca_pin[48], other_pin[48];
} test_certs;

/* Every file but the roots holds the certificate and its key. Returns 0, or -1 with a
 * message on stderr. */
int test_certs_make(test_certs *c);

/* Makes `to` what `from` is, by a rename. Returns 0 or -1. */
int test_certs_copy(const test_certs *c, const char *from, const char *to);

/* Removes the folder with all that is in it. */
void test_certs_remove(const test_certs *c);

#endif
