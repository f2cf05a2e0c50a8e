{{/* What all roles share: a service account, a Deployment, a disruption budget. Takes {root, role, facts, own}. */}}
{{- define "facescan.workload" -}}
{{- $values := .root.Values -}}
{{- $name := include "facescan.name" . -}}
{{- $public := gt (int .facts.port) 0 -}}
{{- $files := and (eq .facts.service "inbox") (or $values.endpointMap $values.manifest) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- include "facescan.labels" . | nindent 4 }}
  {{- if and .facts.aws $values.aws.roleArnPrefix }}
  annotations:
    eks.amazonaws.com/role-arn: {{ printf "%s%s" $values.aws.roleArnPrefix .role | quote }}
  {{- end }}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "facescan.labels" . | nindent 4 }}
spec:
  {{- if not (and .own.autoscaling.enabled (or $values.keda.enabled (eq .role "door"))) }}
  replicas: {{ .own.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  selector: {matchLabels: {{ include "facescan.selector" . | fromYaml | toJson }}}
  strategy:
    # A reader that joins takes all partitions of its group from all: one goes, then one comes.
    rollingUpdate: {{ if $public }}{maxSurge: 1, maxUnavailable: 0}{{ else }}{maxSurge: 0, maxUnavailable: 1}{{ end }}
  template:
    metadata:
      labels: {{- include "facescan.labels" . | nindent 8 }}
      {{- if $files }}
      annotations:
        checksum/inbox-files: {{ printf "%s%s" $values.endpointMap $values.manifest | sha256sum }}
      {{- end }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      # Longer than a stop may take: the lame duck, the drain, and as long again for commits and connections.
      terminationGracePeriodSeconds: {{ add (int $values.lameDuckSeconds) (mul 2 (int $values.drainSeconds)) 10 }}
      securityContext: {{- include "facescan.podSecurity" . | nindent 8 }}
      {{- with $values.image.pullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.scheduling.priorityClassName }}
      priorityClassName: {{ . | quote }}
      {{- end }}
      {{- with $values.scheduling.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.scheduling.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: {{ $values.scheduling.topologyKey }}
          whenUnsatisfiable: {{ $values.scheduling.whenUnsatisfiable }}
          labelSelector: {matchLabels: {{ include "facescan.selector" . | fromYaml | toJson }}}
          matchLabelKeys: [pod-template-hash]
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {{ include "facescan.selector" . | fromYaml | toJson }}}
          matchLabelKeys: [pod-template-hash]
      {{- if eq .role "door" }}
      initContainers:
        - name: resolver # beside the door for as long as it lives, and stopped after it
          image: {{ $values.resolver.image | quote }}
          restartPolicy: Always
          args: [-d, -c, /resolver/unbound.conf]
          securityContext: {{- include "facescan.restricted" . | nindent 12 }}
          resources: {{- toYaml $values.resolver.resources | nindent 12 }}
          volumeMounts:
            - {name: resolver, mountPath: /resolver, readOnly: true}
            - {name: tmp, mountPath: /tmp}
      {{- end }}
      containers:
        - name: {{ .role }}
          image: {{ include "facescan.image" .root | quote }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args: [run, {{ .facts.service }}]
          securityContext: {{- include "facescan.restricted" . | nindent 12 }}
          env:
            {{- include "facescan.environment" (dict "root" .root "user" .role) | nindent 12 }}
            {{- if eq .role "door" }}
            - {name: FACESCAN_DNS_RESOLVER, value: "127.0.0.1:5353"}
            {{- end }}
            {{- if eq .role "session" }}
            - {name: FACESCAN_SESSION_PUBLIC_URL, value: {{ $values.scan.url | quote }}}
            - {name: FACESCAN_STREAMING_ROLE, value: {{ $values.scan.streamingRole | quote }}}
            - {name: FACESCAN_FACE_MODEL, value: /face-model}
            - name: FACESCAN_SCAN_TOKEN_SECRET
              valueFrom: {secretKeyRef: {name: {{ $values.secrets.scanToken.name | quote }}, key: {{ $values.secrets.scanToken.key | quote }}}}
            {{- end }}
            {{- if and $values.azure.endpoint (has .role (list "session" "verdict")) }}
            - {name: FACESCAN_AZURE_ENDPOINT, value: {{ $values.azure.endpoint | quote }}}
            {{- with $values.azure.keySecret }}
            - {name: FACESCAN_AZURE_KEY_SECRET, value: {{ . | quote }}}
            {{- end }}
            {{- end }}
            {{- if and $files $values.endpointMap }}
            - {name: FACESCAN_ENDPOINT_MAP, value: /inbox/endpoints.toml}
            {{- end }}
            {{- if and $files $values.manifest }}
            - {name: FACESCAN_MANIFEST, value: /inbox/manifest.json}
            {{- end }}
            {{- range $variable, $value := mergeOverwrite (dict) $values.settings .own.settings .facts.settings }}
            - {name: {{ $variable }}, value: {{ $value | quote }}}
            {{- end }}
          ports:
            {{- if $public }}
            - {name: http, containerPort: {{ .facts.port }}}
            {{- end }}
            - {name: ops, containerPort: 9400}
          # Started: the group has been joined and its partitions are there.
          startupProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 2
            failureThreshold: 60
          # Alive: it makes progress. Kafka away is no reason to restart.
          livenessProbe:
            httpGet: {path: /livez, port: ops}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          {{- if $public }}
          lifecycle: {preStop: {sleep: {seconds: {{ $values.lameDuckSeconds }}}}}
          {{- end }}
          resources: {{- toYaml .own.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- include "facescan.kafkaMounts" . | nindent 12 }}
            {{- if eq .role "session" }}
            - {name: face-model, mountPath: /face-model, readOnly: true}
            {{- end }}
            {{- if $files }}
            - {name: inbox, mountPath: /inbox, readOnly: true}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {medium: Memory, sizeLimit: 64Mi}
        {{- include "facescan.kafkaVolumes" (dict "root" .root "user" .role) | nindent 8 }}
        {{- if eq .role "session" }}
        - name: face-model
          {{- toYaml $values.scan.faceModel | nindent 10 }}
        {{- end }}
        {{- if eq .role "door" }}
        - name: resolver
          configMap: {name: {{ printf "%s-resolver" .root.Release.Name }}}
        {{- end }}
        {{- if $files }}
        - name: inbox
          configMap: {name: {{ printf "%s-inbox" .root.Release.Name }}}
        {{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- include "facescan.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector: {matchLabels: {{ include "facescan.selector" . | fromYaml | toJson }}}
{{- end -}}
