package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// checkCompose loads the file as Docker Compose does, strictly by the specification's schema, and checks that what is
// mounted from the repository is there. The secrets are the user's to make.
func checkCompose(ctx context.Context, file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithConsistency(true), cli.WithResolvedPaths(true))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var errs []error
	for name, service := range project.Services {
		if b := service.Build; b != nil {
			if _, err := os.Stat(filepath.Join(b.Context, b.Dockerfile)); err != nil {
				errs = append(errs, fmt.Errorf("%s: service %s: build: %w", file, name, err))
			}
		}
		if _, tag, _ := strings.Cut(service.Image, ":"); tag == "" || (tag == "latest" && service.Build == nil) {
			errs = append(errs, fmt.Errorf("%s: service %s: image %q has no version", file, name, service.Image))
		}
		for _, v := range service.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				errs = append(errs, fmt.Errorf("%s: service %s: volume: %w", file, name, err))
			}
		}
		for _, p := range service.Ports {
			if p.HostIP != "127.0.0.1" {
				errs = append(errs, fmt.Errorf("%s: service %s: port %s is published to the world", file, name, p.Published))
			}
		}
	}
	return errors.Join(errs...)
}
