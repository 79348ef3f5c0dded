// SPDX-License-Identifier: Apache-2.0

// Uses an API server as Go programs do: discovery, a shared informer, typed writes in JSON or protobuf, patches and
// server-side apply. Built on client-go's REST client with the one group it needs: the whole clientset would take two
// minutes to compile. Prints one JSON line; exits 1 with the first thing that went wrong.
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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const resource, namespace, name = "configmaps", "default", "clientgo"

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
	var out report
	found, err := discovery.NewDiscoveryClientForConfig(config)
	check(err)
	groups, err := found.ServerPreferredResources()
	check(err)
	out.Groups = len(groups)

	client := coreClient(config, os.Args[2])
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	next := watch(ctx, client, &out)

	made := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Data:       map[string]string{"a": "1"},
	}
	check(client.Post().Namespace(namespace).Resource(resource).Body(made).Do(ctx).Into(made))
	next()
	patch := func(kind types.PatchType, body string) *corev1.ConfigMap {
		var result corev1.ConfigMap
		check(client.Patch(kind).Namespace(namespace).Resource(resource).Name(name).
			Param("fieldManager", "clientgo-test").Body([]byte(body)).Do(ctx).Into(&result))
		return &result
	}
	patch(types.StrategicMergePatchType, `{"data":{"b":"2"}}`)
	next()
	stale := client.Put().Namespace(namespace).Resource(resource).Name(name).Body(made).Do(ctx).Error()
	out.Conflict = apierrors.IsConflict(stale)
	applied := patch(types.ApplyPatchType, `{"apiVersion":"v1","kind":"ConfigMap","data":{"c":"3"}}`)
	next()
	for _, entry := range applied.ManagedFields {
		if entry.Operation == metav1.ManagedFieldsOperationApply {
			out.Manager = entry.Manager
		}
	}
	out.Data = applied.Data["a"] + applied.Data["b"] + applied.Data["c"]
	check(client.Delete().Namespace(namespace).Resource(resource).Name(name).Body(&metav1.DeleteOptions{}).Do(ctx).Error())
	next()
	check(json.NewEncoder(os.Stdout).Encode(out))
}

// A client of core/v1 in the given wire form.
func coreClient(config *rest.Config, wire string) *rest.RESTClient {
	scheme := runtime.NewScheme()
	check(corev1.AddToScheme(scheme))
	own := rest.CopyConfig(config)
	own.APIPath = "/api"
	own.GroupVersion = &corev1.SchemeGroupVersion
	own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	own.ContentType = runtime.ContentTypeJSON
	if wire == "protobuf" {
		own.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
		own.ContentType = runtime.ContentTypeProtobuf
	}
	client, err := rest.RESTClientFor(own)
	check(err)
	return client
}

// Starts an informer; the result waits for its next event and notes it.
func watch(ctx context.Context, client *rest.RESTClient, out *report) func() {
	events := make(chan string, 64)
	note := func(what string) func(any) {
		return func(object any) {
			key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
			events <- what + " " + key
		}
	}
	source := cache.NewFilteredListWatchFromClient(client, resource, namespace,
		func(options *metav1.ListOptions) { options.LabelSelector = "app=" + name })
	informer := cache.NewSharedInformer(source, &corev1.ConfigMap{}, 0)
	update := note("update")
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: note("add"), UpdateFunc: func(_, object any) { update(object) }, DeleteFunc: note("delete"),
	})
	check(err)
	go informer.Run(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		fail("the informer did not sync")
	}
	return func() {
		select {
		case event := <-events:
			out.Seen = append(out.Seen, event)
		case <-ctx.Done():
			fail(fmt.Sprintf("no event within the deadline; seen %v", out.Seen))
		}
	}
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
