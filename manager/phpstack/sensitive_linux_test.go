package phpstack

import (
	"strings"
	"testing"
)

// TestSensitiveParametersAreMasked: by #[\SensitiveParameter], by what the text looks like, by the name in front of it, and by the
// parameter's name of PHP's own functions.
func TestSensitiveParametersAreMasked(t *testing.T) {
	code := "<?php\n" + wait + `
		function attributed($a, #[\SensitiveParameter] $b, #[Other, \SensitiveParameter] $c, $d, #[\SensitiveParameter] ...$e) { wait(); }
		class C { static function m(#[\sensitiveparameter] ?string $x, #[Other] $y) { attributed("shown", "hunter2", "hunter2", "shown too", "hunter2", "hunter2"); } }
		function text($a, $b, $c) { C::m("hunter2", "plain"); }
		function named($what, $value, $more) { text("mysql://root:hunter2@db/app", "Bearer hunter2hunter2", "/?password=hunter2"); }
		named("DB_PASSWORD", "hunter2", "shown");
	`
	for _, binary := range binaries(t) {
		s := start(t, binary, code, nil)
		s.line("STACK")
		stack := until(t, s.attached(), Options{Args: true}, in("fgets"))
		for i, want := range []string{
			`attributed($a = "shown", $b = ***, $c = ***, $d = "shown too", $e = ***, $e = ***)`, `C::m($x = ***, $y = "plain")`,
			`text($a = ***, $b = ***, $c = ***)`, `named($what = "DB_PASSWORD", $value = ***, $more = "shown")`,
		} {
			f := stack.Frames[i+2]
			got := f.Name() + "(" + f.arguments() + ")"
			if strings.Contains(got, "hunter2") || got != want {
				t.Errorf("%s: the call is %s, not %s", binary, got, want)
			}
		}
	}
}

// TestSecretsOfPHPsOwnFunctionsAreMasked while they call back.
func TestSecretsOfPHPsOwnFunctionsAreMasked(t *testing.T) {
	for call, want := range map[string]string{
		`array_walk($list, 'cb', "hunter2?token=hunter2")`: `$arg = ***`, `call_user_func('cb', "Basic aHVudGVyMg==")`: `***`,
	} {
		for _, binary := range binaries(t) {
			s := start(t, binary, "<?php\n"+wait+`$list = [1]; function cb() { wait(); } `+call+";", nil)
			s.line("STACK")
			stack := until(t, s.attached(), Options{Args: true}, in("fgets"))
			all := ""
			for _, f := range stack.Frames {
				all += f.Name() + "(" + f.arguments() + ") "
			}
			if strings.Contains(all, "hunter2") || strings.Contains(all, "aHVud") || !strings.Contains(all, want) {
				t.Errorf("%s: %s", binary, all)
			}
		}
	}
}
