// Answers cases by a policy in Rego.
//
//	opa RULES CASES          the answer to each case, as JSON: determination, reason, rule
//	opa RULES CASES ROUNDS   microseconds of processor time per case, for each round, as JSON
package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"syscall"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// The cases as OPA's own values, so that no evaluation converts its input.
func cases(file string) []ast.Value {
	var read []any
	check(json.Unmarshal(must(os.ReadFile(file)), &read))
	values := make([]ast.Value, len(read))
	for i, one := range read {
		values[i] = must(ast.InterfaceToValue(one))
	}
	return values
}

// Microseconds that all threads have used.
func processorTime() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e3
}

func main() {
	ctx := context.Background()
	module := rego.Module("policy.rego", string(must(os.ReadFile(os.Args[1]))))
	query := must(rego.New(rego.Query("answer = data.policy.answer"), module).PrepareForEval(ctx))
	answer := func(asked ast.Value) any {
		for _, result := range must(query.Eval(ctx, rego.EvalParsedInput(asked))) {
			return result.Bindings["answer"]
		}
		return nil
	}
	asked := cases(os.Args[2])
	if len(os.Args) == 3 {
		answers := make([]any, len(asked))
		for i, one := range asked {
			answers[i] = answer(one)
		}
		check(json.NewEncoder(os.Stdout).Encode(answers))
		return
	}
	rounds := make([]float64, must(strconv.Atoi(os.Args[3])))
	for round := range rounds {
		before := processorTime()
		for _, one := range asked {
			answer(one)
		}
		rounds[round] = (processorTime() - before) / float64(len(asked))
	}
	check(json.NewEncoder(os.Stdout).Encode(rounds))
}
