{{/* Replicas by Kafka's lag, never more than there are partitions: one more would have nothing to read. */}}
{{- define "facescan.scaledObject" -}}
{{- $values := .root.Values -}}
{{- $kafka := $values.kafka -}}
{{- $name := include "facescan.name" . -}}
{{- $secured := ne $kafka.security "plaintext" -}}
{{- $iam := and (eq $kafka.security "sasl-tls") (eq $kafka.saslMechanism "AWS_MSK_IAM") -}}
{{- $scaling := .own.autoscaling -}}
{{- range .facts.lag -}}
{{- if gt (int $scaling.max) (int .partitions) -}}
{{- fail (printf "roles.%s.autoscaling.max: %v, but %s has %v partitions" $.role $scaling.max .topic .partitions) -}}
{{- end -}}
{{- end -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $name }}
  labels: {{- include "facescan.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {name: {{ $name }}}
  minReplicaCount: {{ $scaling.min }}
  maxReplicaCount: {{ $scaling.max }}
  fallback: {failureThreshold: 3, replicas: {{ .own.replicas }}, behavior: currentReplicasIfHigher}
  advanced:
    horizontalPodAutoscalerConfig:
      # Each step gives all partitions of the group away: one pod at a time, and not for every lull.
      behavior:
        scaleDown:
          stabilizationWindowSeconds: 300
          policies: [{type: Pods, value: 1, periodSeconds: 120}]
  triggers:
    {{- range .facts.lag }}
    - type: kafka
      metadata:
        bootstrapServers: {{ $kafka.bootstrap | quote }}
        consumerGroup: {{ .group }}
        topic: {{ .topic }}
        lagThreshold: {{ $scaling.lag | quote }}
        activationLagThreshold: "1"
        offsetResetPolicy: earliest
        excludePersistentLag: "true"
        limitToPartitionsWithLag: "false"
        {{- if $secured }}
        tls: enable
        {{- end }}
        {{- if $iam }}
        sasl: oauthbearer
        saslTokenProvider: aws_msk_iam
        awsRegion: {{ $values.aws.region | quote }}
        {{- else if eq $kafka.security "sasl-tls" }}
        sasl: {{ get (dict "SCRAM-SHA-512" "scram_sha512" "SCRAM-SHA-256" "scram_sha256" "PLAIN" "plaintext") $kafka.saslMechanism }}
        {{- end }}
      {{- if $secured }}
      authenticationRef: {name: {{ $name }}}
      {{- end }}
    {{- end }}
    {{- with $scaling.cpuPercent }}
    - type: cpu
      metricType: Utilization
      metadata: {value: {{ . | quote }}}
    {{- end }}
{{- if $secured }}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: {{ $name }}
  labels: {{- include "facescan.labels" . | nindent 4 }}
spec:
  {{- if $iam }}
  podIdentity: {provider: aws} # KEDA's own role, which needs kafka-cluster:Connect, DescribeGroup and DescribeTopic
  {{- end }}
  {{- if or (not $iam) $kafka.caSecret.name }}
  secretTargetRef:
    {{- $user := printf "%s%s" $kafka.userPrefix .role }}
    {{- if $iam }}
    {{- else if eq $kafka.security "sasl-tls" }}
    - {parameter: password, name: {{ $user | quote }}, key: password}
    {{- else }}
    - {parameter: cert, name: {{ $user | quote }}, key: user.crt}
    - {parameter: key, name: {{ $user | quote }}, key: user.key}
    {{- end }}
    {{- with $kafka.caSecret.name }}
    - {parameter: ca, name: {{ . | quote }}, key: {{ $kafka.caSecret.key | quote }}}
    {{- end }}
  {{- end }}
  {{- if and (eq $kafka.security "sasl-tls") (not $iam) }}
  env:
    - {parameter: username, name: FACESCAN_KAFKA_USERNAME, containerName: {{ .role }}}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "facescan.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "facescan.name" . }}
  labels: {{- include "facescan.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ include "facescan.name" . }}}
  minReplicas: {{ .own.autoscaling.min }}
  maxReplicas: {{ .own.autoscaling.max }}
  metrics:
    - type: ContainerResource
      containerResource: {name: cpu, container: {{ .role }}, target: {type: Utilization, averageUtilization: {{ .own.autoscaling.cpuPercent }}}}
  behavior:
    scaleUp: {stabilizationWindowSeconds: 0, policies: [{type: Percent, value: 100, periodSeconds: 30}]}
    scaleDown: {stabilizationWindowSeconds: 300, policies: [{type: Pods, value: 1, periodSeconds: 60}]}
{{- end -}}
