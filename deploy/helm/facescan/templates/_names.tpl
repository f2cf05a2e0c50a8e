{{/* The roles that are wanted, with what files/roles.json says of them, as JSON. */}}
{{- define "facescan.roles" -}}
{{- $wanted := dict -}}
{{- range $role, $facts := .Files.Get "files/roles.json" | fromJson -}}
{{- if or (not $facts.optional) (index $.Values.roles $role).enabled -}}
{{- $_ := set $wanted $role $facts -}}
{{- end -}}
{{- end -}}
{{- toJson $wanted -}}
{{- end -}}

{{- define "facescan.name" -}}
{{- printf "%s-%s" .root.Release.Name .role | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "facescan.selector" -}}
app.kubernetes.io/name: facescan
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "facescan.labels" -}}
{{ include "facescan.selector" . }}
app.kubernetes.io/part-of: facescan
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "facescan.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "facescan.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "facescan.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Variables of every process: how to reach Kafka as this user, AWS, and who we are. */}}
{{- define "facescan.environment" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := printf "%s%s" $kafka.userPrefix .user -}}
- {name: FACESCAN_DOMAIN, value: {{ .root.Values.domain | quote }}}
- {name: FACESCAN_OPS_HOST, value: 0.0.0.0}
- {name: FACESCAN_DRAIN_SECONDS, value: {{ .root.Values.drainSeconds | quote }}}
- {name: FACESCAN_KAFKA_BOOTSTRAP, value: {{ $kafka.bootstrap | quote }}}
- {name: FACESCAN_KAFKA_SECURITY, value: {{ $kafka.security | quote }}}
{{- if and (ne $kafka.security "plaintext") $kafka.caSecret.name }}
- {name: FACESCAN_KAFKA_CA, value: {{ printf "/kafka-ca/%s" $kafka.caSecret.key | quote }}}
{{- end }}
{{- if eq $kafka.security "sasl-tls" }}
- {name: FACESCAN_KAFKA_SASL_MECHANISM, value: {{ $kafka.saslMechanism | quote }}}
{{- if ne $kafka.saslMechanism "AWS_MSK_IAM" }}
- {name: FACESCAN_KAFKA_USERNAME, value: {{ $user | quote }}}
- name: FACESCAN_KAFKA_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $user | quote }}, key: password}}
{{- end }}
{{- else if eq $kafka.security "tls" }}
- {name: FACESCAN_KAFKA_CERTIFICATE, value: /kafka-user/user.crt}
- {name: FACESCAN_KAFKA_KEY, value: /kafka-user/user.key}
{{- end }}
- {name: AWS_REGION, value: {{ .root.Values.aws.region | quote }}}
- {name: AWS_DEFAULT_REGION, value: {{ .root.Values.aws.region | quote }}}
{{- with .root.Values.aws.endpointUrl }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- with .root.Values.tracing.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "facescan.kafkaMounts" -}}
{{- $kafka := .root.Values.kafka -}}
{{- if and (ne $kafka.security "plaintext") $kafka.caSecret.name }}
- {name: kafka-ca, mountPath: /kafka-ca, readOnly: true}
{{- end }}
{{- if eq $kafka.security "tls" }}
- {name: kafka-user, mountPath: /kafka-user, readOnly: true}
{{- end }}
{{- end -}}

{{- define "facescan.kafkaVolumes" -}}
{{- $kafka := .root.Values.kafka -}}
{{- if and (ne $kafka.security "plaintext") $kafka.caSecret.name }}
- name: kafka-ca
  secret: {secretName: {{ $kafka.caSecret.name | quote }}}
{{- end }}
{{- if eq $kafka.security "tls" }}
- name: kafka-user
  secret: {secretName: {{ printf "%s%s" $kafka.userPrefix .user | quote }}}
{{- end }}
{{- end -}}
