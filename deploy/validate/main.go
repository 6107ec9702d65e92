// Command validate checks the deployment's files with the types of those who read them: a kustomization and compose
// files come in, faults go out. It is a module of its own, so that the program does not depend on Kubernetes and Docker.
//
//	validate -kustomization DIR -manifest FILE -compose FILE
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("validate", flag.ContinueOnError)
	kustomization := f.String("kustomization", "", "directory that is built and checked as a whole")
	manifest := f.String("manifest", "", "file with the Secret that belongs to it, checked with it")
	compose := f.String("compose", "", "compose file to check")
	if err := f.Parse(args); err != nil {
		return 2
	}
	var errs []error
	if *kustomization != "" {
		errs = append(errs, checkKustomization(*kustomization, *manifest))
	}
	if *compose != "" {
		errs = append(errs, checkCompose(ctx, *compose))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
