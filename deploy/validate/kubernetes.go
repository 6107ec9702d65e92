package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// objects is what a kustomization builds, by type.
type objects struct {
	namespaces   []*core.Namespace
	accounts     []*core.ServiceAccount
	configMaps   []*core.ConfigMap
	secrets      []*core.Secret
	services     []*core.Service
	deployments  []*apps.Deployment
	budgets      []*policyv1.PodDisruptionBudget
	networkRules []*networking.NetworkPolicy
	monitors     []*monitoring.ServiceMonitor
}

func checkKustomization(dir, manifest string) error {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	var all objects
	var errs []error
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if err := all.add(r.GetApiVersion(), r.GetKind(), text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s %s: %w", dir, r.GetKind(), r.GetName(), err))
		}
	}
	if manifest != "" {
		errs = append(errs, all.addFile(manifest))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := all.check(); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

func (o *objects) addFile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var t meta.TypeMeta
		if err := yaml.Unmarshal(document, &t); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := o.add(t.APIVersion, t.Kind, document); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// add decodes strictly: a field that Kubernetes does not know, or one that is there twice, is an error.
func (o *objects) add(version, kind string, text []byte) error {
	switch version + " " + kind {
	case "v1 Namespace":
		return decode(text, &o.namespaces)
	case "v1 ServiceAccount":
		return decode(text, &o.accounts)
	case "v1 ConfigMap":
		return decode(text, &o.configMaps)
	case "v1 Secret":
		return decode(text, &o.secrets)
	case "v1 Service":
		return decode(text, &o.services)
	case "apps/v1 Deployment":
		return decode(text, &o.deployments)
	case "policy/v1 PodDisruptionBudget":
		return decode(text, &o.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(text, &o.networkRules)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return decode(text, &o.monitors)
	}
	return fmt.Errorf("nothing here knows a %s of %s", kind, version)
}

func decode[T any](text []byte, into *[]*T) error {
	one := new(T)
	if err := yaml.UnmarshalStrict(text, one); err != nil {
		return err
	}
	*into = append(*into, one)
	return nil
}

// check follows the names and labels by which the objects find each other, and asks for the restricted pod security
// standard.
func (o *objects) check() error {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if len(o.deployments) == 0 || len(o.services) == 0 || len(o.budgets) == 0 || len(o.networkRules) == 0 || len(o.monitors) == 0 {
		fault("an object is missing: want a Deployment, Service, PodDisruptionBudget, NetworkPolicy and ServiceMonitor")
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	for _, d := range o.deployments {
		pod := d.Spec.Template
		if !selects(d.Spec.Selector, pod.Labels) {
			fault("deployment %s: its selector does not select its pods", d.Name)
		}
		restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
		for _, r := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !r.Allowed {
				fault("deployment %s: %s: %s", d.Name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		for _, c := range pod.Spec.TopologySpreadConstraints {
			if !selects(c.LabelSelector, pod.Labels) {
				fault("deployment %s: topology spread over %s does not select its pods", d.Name, c.TopologyKey)
			}
		}
		for _, v := range pod.Spec.Volumes {
			if c := v.ConfigMap; c != nil && !named(o.configMaps, c.Name) {
				fault("deployment %s: there is no ConfigMap %s", d.Name, c.Name)
			}
			if s := v.Secret; s != nil && !named(o.secrets, s.SecretName) {
				fault("deployment %s: there is no Secret %s", d.Name, s.SecretName)
			}
		}
		if !named(o.accounts, pod.Spec.ServiceAccountName) {
			fault("deployment %s: there is no ServiceAccount %s", d.Name, pod.Spec.ServiceAccountName)
		}
		for _, c := range pod.Spec.Containers {
			for _, m := range c.VolumeMounts {
				if !slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.Name == m.Name }) {
					fault("container %s: there is no volume %s", c.Name, m.Name)
				}
			}
			for kind, p := range map[string]*core.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
				switch {
				case p == nil || p.HTTPGet == nil:
					fault("container %s: there is no %s probe over HTTP", c.Name, kind)
				case !o.hasPort(p.HTTPGet.Port):
					fault("container %s: %s probe: there is no port %s", c.Name, kind, p.HTTPGet.Port.String())
				}
			}
		}
	}
	for _, s := range o.services {
		if !o.anyPod(&meta.LabelSelector{MatchLabels: s.Spec.Selector}) || len(s.Spec.Selector) == 0 {
			fault("service %s selects no pod", s.Name)
		}
		for _, p := range s.Spec.Ports {
			if !o.hasPort(p.TargetPort) {
				fault("service %s: no pod has a port %s", s.Name, p.TargetPort.String())
			}
		}
	}
	for _, b := range o.budgets {
		if !o.anyPod(b.Spec.Selector) {
			fault("disruption budget %s selects no pod", b.Name)
		}
	}
	for _, n := range o.networkRules {
		if !o.anyPod(&n.Spec.PodSelector) {
			fault("network policy %s selects no pod", n.Name)
		}
		for _, rule := range n.Spec.Ingress {
			for _, p := range rule.Ports {
				if !o.hasPort(*p.Port) {
					fault("network policy %s: no pod has a port %s", n.Name, p.Port.String())
				}
			}
		}
	}
	for _, m := range o.monitors {
		for _, e := range m.Spec.Endpoints {
			if !slices.ContainsFunc(o.services, func(s *core.Service) bool {
				return selects(&m.Spec.Selector, s.Labels) &&
					slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Name == e.Port })
			}) {
				fault("service monitor %s selects no service with a port %s", m.Name, e.Port)
			}
		}
	}
	return errors.Join(errs...)
}

func (o *objects) anyPod(s *meta.LabelSelector) bool {
	return slices.ContainsFunc(o.deployments, func(d *apps.Deployment) bool { return selects(s, d.Spec.Template.Labels) })
}

func (o *objects) hasPort(port intstr.IntOrString) bool {
	for _, d := range o.deployments {
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name == port.StrVal && port.Type == intstr.String || p.ContainerPort == port.IntVal && port.Type == intstr.Int {
					return true
				}
			}
		}
	}
	return false
}

func selects(s *meta.LabelSelector, have map[string]string) bool {
	selector, err := meta.LabelSelectorAsSelector(s)
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(have))
}

func named[T interface{ GetName() string }](objects []T, name string) bool {
	return slices.ContainsFunc(objects, func(o T) bool { return o.GetName() == name })
}
