// Package fpmconf reads the configuration files of php-fpm 8.2 the way php-fpm does, says what php-fpm says about them and
// checks them with the same rules in the same order. What it returns is typed and complete: every directive has its field.
//
// A file passes through these steps, one file of this package each:
//
//	load.go      physical lines, sections, entries, includes    php-src sapi/fpm/fpm/fpm_conf.c:fpm_conf_load_ini_file
//	  lexer.go   characters to tokens, one line at a time       php-src Zend/zend_ini_scanner.l, NORMAL mode
//	  parser.go  tokens to sections, entries and array entries  php-src Zend/zend_ini_parser.y
//	  values.go  text to bool, integer, time and so on          fpm_conf.c:fpm_conf_set_*
//	global.go    checks and defaults of [global]                fpm_conf.c:fpm_conf_post_process
//	pools.go     checks and defaults of the pools               fpm_conf.c:fpm_conf_process_all_pools
//	users.go     user and group names                           fpm_unix.c:fpm_unix_test_config, fpm_unix_conf_wp
//	dump.go      the lines of php-fpm -tt                       fpm_conf.c:fpm_conf_dump
//
// Messages go to Options.Message in the order php-fpm prints them. Two of php-fpm's habits are kept although they surprise:
// the line number goes on counting through an included file (so it is wrong after an include), and one line is parsed to its
// end even after it has reported an error.
package fpmconf
