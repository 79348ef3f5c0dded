// SPDX-License-Identifier: Apache-2.0

// Uses an API server as Go programs do: a shared informer, typed writes (which travel as protobuf), patches and a
// dynamic client. Prints one JSON line; exits 1 with the first thing that went wrong.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type report struct {
	Seen     []string `json:"seen"`
	Data     string   `json:"data"`
	Manager  string   `json:"manager"`
	Conflict bool     `json:"conflict"`
	Groups   int      `json:"groups"`
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: clientgo KUBECONFIG json|protobuf")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	check(err)
	if os.Args[2] == "protobuf" {
		config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
		config.ContentType = "application/vnd.kubernetes.protobuf"
	}
	client, err := kubernetes.NewForConfig(config)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	var out report
	groups, err := client.Discovery().ServerPreferredResources()
	check(err)
	out.Groups = len(groups)

	events := make(chan string, 64)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "app=clientgo" }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	name := func(what string, object any) string {
		key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		return what + " " + key
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { events <- name("add", o) },
		UpdateFunc: func(_, o any) { events <- name("update", o) },
		DeleteFunc: func(o any) { events <- name("delete", o) },
	})
	check(err)
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		fail("the informer did not sync")
	}
	next := func() {
		select {
		case event := <-events:
			out.Seen = append(out.Seen, event)
		case <-ctx.Done():
			fail(fmt.Sprintf("no event within the deadline; seen %v", out.Seen))
		}
	}

	maps := client.CoreV1().ConfigMaps("default")
	made, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "clientgo", Labels: map[string]string{"app": "clientgo"}},
		Data:       map[string]string{"a": "1"},
	}, metav1.CreateOptions{})
	check(err)
	next()
	_, err = maps.Patch(ctx, "clientgo", types.StrategicMergePatchType, []byte(`{"data":{"b":"2"}}`), metav1.PatchOptions{})
	check(err)
	next()
	_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
	out.Conflict = apierrors.IsConflict(err)
	applied, err := maps.Apply(ctx, applycorev1.ConfigMap("clientgo", "default").WithData(map[string]string{"c": "3"}),
		metav1.ApplyOptions{FieldManager: "clientgo-test"})
	check(err)
	next()
	for _, entry := range applied.ManagedFields {
		if entry.Operation == metav1.ManagedFieldsOperationApply {
			out.Manager = entry.Manager
		}
	}
	out.Data = applied.Data["a"] + applied.Data["b"] + applied.Data["c"]
	check(maps.Delete(ctx, "clientgo", metav1.DeleteOptions{}))
	next()
	check(json.NewEncoder(os.Stdout).Encode(out))
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
