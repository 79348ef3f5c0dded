// SPDX-License-Identifier: Apache-2.0

// Package conformance runs Gateway API's own suite against the cluster of $KUBECONFIG. What differs from the suite's
// own entry point is the waypoint: it is made after the suite has made its services, and before its first test.
package conformance

import (
	"embed"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

//go:embed waypoint.yaml
var own embed.FS

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.ManifestFS = []fs.FS{&conformance.Manifests, &own}
	s, err := suite.NewConformanceTestSuite(options)
	require.NoError(t, err)

	s.Setup(t, tests.ConformanceTests)
	s.Applier.GatewayClass = options.GatewayClassName
	s.Applier.MustApplyWithCleanup(t, s.Client, s.TimeoutConfig, "waypoint.yaml", s.Cleanup)
	waypoint := kubernetes.NewGatewayRef(types.NamespacedName{Namespace: suite.MeshNamespace, Name: "waypoint"})
	_, err = kubernetes.WaitForGatewayAddress(t, s.Client, s.TimeoutConfig, waypoint)
	require.NoError(t, err)

	require.NoError(t, s.Run(t, tests.ConformanceTests))
	if options.ReportOutputPath == "" {
		return
	}
	report, err := s.Report()
	require.NoError(t, err)
	text, err := yaml.Marshal(report)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(options.ReportOutputPath, text, 0o644))
}
