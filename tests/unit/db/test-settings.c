/* Connection strings taken apart. */
#include "tests/support/program.h"

#include "db/settings.h"

#include <asyncnet/testing.h>
#include <errno.h>
#include <string.h>

static an__pg_settings *parse(const char *conninfo)
{
	an__pg_settings *s = NULL;

	assert_int_equal(
		an__pg_settings_new(&(an_pg_conn_opts){ .conninfo = conninfo }, NULL, &s),
		0);
	return s;
}

static const char *value(const an__pg_settings *s, const char *keyword)
{
	for (size_t i = 0; s->keywords[i]; i++)
		if (!strcmp(s->keywords[i], keyword))
			return s->values[i];
	return NULL;
}

static void several_hosts_become_several_targets(void **state)
{
	an__pg_settings *s = parse("host=a,/run/pg,b port=1,2,3 dbname=d");

	(void)state;
	assert_int_equal(s->count, 3);
	assert_string_equal(s->targets[0].host, "a");
	assert_string_equal(s->targets[0].port, "1");
	assert_true(s->targets[0].resolve);
	assert_string_equal(s->targets[1].host, "/run/pg");
	assert_false(s->targets[1].resolve);
	assert_string_equal(s->targets[2].port, "3");
	an__pg_settings_unref(s);
}

static void one_port_serves_all_hosts(void **state)
{
	an__pg_settings *s = parse("postgresql://a,b:/d?port=77");

	(void)state;
	assert_int_equal(s->count, 2);
	assert_string_equal(s->targets[0].port, "77");
	assert_string_equal(s->targets[1].port, "77");
	an__pg_settings_unref(s);
}

static void a_host_address_needs_no_resolving(void **state)
{
	an__pg_settings *s = parse("host=name hostaddr=127.0.0.1");

	(void)state;
	assert_int_equal(s->count, 1);
	assert_false(s->targets[0].resolve);
	an__pg_settings_aim(s, &s->targets[0], NULL, NULL);
	assert_string_equal(value(s, "host"), "name");
	assert_string_equal(value(s, "hostaddr"), "127.0.0.1");
	an__pg_settings_unref(s);
}

static void aiming_changes_the_target_alone(void **state)
{
	an__pg_settings *s = parse("host=a,b user=u target_session_attrs=read-write");

	(void)state;
	an__pg_settings_aim(s, &s->targets[1], "10.0.0.1", NULL);
	assert_string_equal(value(s, "host"), "b");
	assert_string_equal(value(s, "hostaddr"), "10.0.0.1");
	assert_string_equal(value(s, "target_session_attrs"), "read-write");
	an__pg_settings_aim(s, &s->targets[0], NULL, "any");
	assert_string_equal(value(s, "host"), "a");
	assert_null(value(s, "hostaddr"));
	assert_string_equal(value(s, "target_session_attrs"), "any");
	assert_string_equal(value(s, "user"), "u");
	an__pg_settings_unref(s);
}

static void defaults_are_added_unless_they_are_given(void **state)
{
	an__pg_settings *s = parse("host=/x tcp_user_timeout=5 client_encoding=LATIN1");

	(void)state;
	assert_string_equal(value(s, "tcp_user_timeout"), "5");
	assert_string_equal(value(s, "client_encoding"), "LATIN1");
	assert_string_equal(value(s, "gssencmode"), "disable");
	assert_null(value(s, "connect_timeout"));
	an__pg_settings_unref(s);
}

static void the_connect_timeout_of_the_string_is_ours(void **state)
{
	an__pg_settings *s = parse("host=/x connect_timeout=3");

	(void)state;
	assert_int_equal(s->opts.connect_timeout, 3 * AN_SECOND);
	an__pg_settings_unref(s);
	s = parse("host=/x");
	assert_int_equal(s->opts.connect_timeout, 10 * AN_SECOND);
	an__pg_settings_unref(s);
}

static void prefer_standby_takes_two_rounds(void **state)
{
	an__pg_settings *s = parse("host=a,b target_session_attrs=prefer-standby");

	(void)state;
	assert_true(s->prefer_standby);
	an__pg_settings_unref(s);
	s = parse("host=a target_session_attrs=prefer-standby");
	assert_false(s->prefer_standby);
	an__pg_settings_unref(s);
}

static void bad_strings_are_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"hostt=x",
		"host",
		"host='x",
		"postgresql://[::1/d",
		"host=a,b port=1,2,3",
		"host=a,b hostaddr=1.2.3.4",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		an__pg_settings *s = NULL;
		an_pg_error e = { 0 };

		assert_int_equal(
			an__pg_settings_new(&(an_pg_conn_opts){ .conninfo = bad[i] }, &e,
					    &s),
			-EINVAL);
		assert_null(s);
		assert_int_not_equal(e.message[0], 0);
	}
}

static void a_failing_allocation_is_reported(void **state)
{
	an__pg_settings *s = NULL;
	size_t n;

	(void)state;
	for (n = 1;; n++) {
		int r;

		an_testing_fail_allocation(n);
		r = an__pg_settings_new(
			&(an_pg_conn_opts){ .conninfo = "host=a,b port=1" }, NULL, &s);
		if (!an_testing_allocation_failed()) {
			assert_int_equal(r, 0);
			break;
		}
		assert_int_equal(r, -ENOMEM);
	}
	assert_true(n > 4);
	an__pg_settings_unref(s);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(several_hosts_become_several_targets),
	cmocka_unit_test(one_port_serves_all_hosts),
	cmocka_unit_test(a_host_address_needs_no_resolving),
	cmocka_unit_test(aiming_changes_the_target_alone),
	cmocka_unit_test(defaults_are_added_unless_they_are_given),
	cmocka_unit_test(the_connect_timeout_of_the_string_is_ours),
	cmocka_unit_test(prefer_standby_takes_two_rounds),
	cmocka_unit_test(bad_strings_are_refused_with_a_reason),
	cmocka_unit_test(a_failing_allocation_is_reported),
};
TEST_MAIN("pg-settings", tests)
